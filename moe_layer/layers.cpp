#include "moe_layer/layers.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline moe_layer {
namespace {

constexpr int kPhases = 4;

/// A phase on the device's clock.
int span_of(int layer, int phase) {
  return layer * kPhases + phase;
}

}  // namespace

MoeLayers::MoeLayers(const Comm& comm, Device& device, const ModelShape& model, ExpertStore& store,
                     const LayerOptions& options)
    : comm_(comm),
      topology_(options.topology.value_or(Topology(comm.node_of()))),
      device_(device),
      device_clock_(device.clock()),
      model_(model),
      store_(store),
      options_(options),
      stream_(device.make_stream()),
      row_bytes_(sz(model.hidden) * size_of(device.dtype())),
      hops_(options.hierarchical ? 2 : 1) {
  const std::size_t layers = sz(model.layers), ranks = sz(comm.size()), k = sz(model.topk);
  const std::size_t tokens = sz(options.max_tokens), hidden = sz(model.hidden);
  const std::size_t rows = sz(options.receive.rows), pairs = sz(options.receive.pairs);
  const std::size_t sent = tokens * std::min(k, ranks);
  const auto make = [&](std::size_t bytes) { return device.allocate(bytes); };

  hidden_state_ = make(tokens * hidden * sizeof(float));
  replay_ = make(layers * tokens * k * sizeof(std::uint16_t));
  normed_ = make(tokens * hidden * sizeof(float));
  payload_ = make(tokens * row_bytes_);
  logits_ = make(tokens * sz(model.experts) * sizeof(float));
  gate_ids_ = make(tokens * k * sizeof(std::uint16_t));
  ids_ = make(tokens * k * sizeof(std::uint16_t));
  weights_ = make(tokens * k * sizeof(float));
  send_rows_ = make(sent * row_bytes_);
  send_pairs_ = make(tokens * k * sizeof(Pair));
  row_token_ = make(sent * sizeof(std::int32_t));
  recv_rows_ = make(rows * row_bytes_);
  recv_pairs_ = make(pairs * sizeof(Pair));
  if (device.needs_sums()) sums_ = make(rows * hidden * sizeof(float));
  results_ = make(rows * row_bytes_);
  returned_ = make(sent * row_bytes_);
  slot_tokens_ = make(sz(model.experts) * sizeof(std::int32_t));
  if (model.shared > 0) shared_sums_ = make(tokens * hidden * sizeof(float));
  ForwardLimits forwarded;
  if (options.hierarchical) {
    const auto most = static_cast<int>(comm.max(options.max_tokens));
    forwarded = forwarded_at_most(topology_, comm.rank(), most, model.topk);
    forwarding_ = std::make_unique<Forwarding>(comm, topology_, device, model, forwarded);
  }

  std::vector<float> router(hidden * sz(model.experts));
  for (int layer = 0; layer < model.layers; ++layer) {
    fill_gate(router, options.seed, layer, model);
    routers_.push_back(make(device.router_bytes()));
    device.load_router(routers_.back(), router);
    locations_.push_back(make(sz(model.experts) * sizeof(Location)));
    shared_.push_back(store.shared(layer));
  }
  host_ids_.reserve(tokens * k);
  own_counts_.resize(sz(model.experts));
  all_counts_.resize(ranks * sz(model.experts));
  rows_to_.assign(layers * ranks, 0);
  device.prepare({tokens, rows, pairs, forwarded});
  if (device_clock_ != nullptr) device_clock_->reserve_spans(span_of(model.layers, 0));
  if (!options.graph) return;
  if (forwarding_ != nullptr) throw std::logic_error("a step with forwarding is no graph");
  graph_ = std::make_unique<StepGraph>(device, model.layers);
}

void MoeLayers::use(const Placement& placement, const SplitSpec& splitting) {
  const bool replicated = count_duplicates(placement) > 0;
  replicas_ = replicated ? std::make_unique<ReplicaChoice>(placement, splitting) : nullptr;
  std::vector<Location> all = replicated ? replicas_->locations() : locations(placement);
  // Physical slots are the same in every layer, experts are not.
  const std::size_t each = replicated ? all.size() : sz(model_.experts);
  const int slots = placement.slots;
  if (forwarding_) all = by_node(all, topology_, comm_.rank(), slots);
  const auto hold_ids = [&](Buffer& ids) {
    if (!replicated || ids.bytes() > 0) return;
    ids = device_.allocate(sz(options_.max_tokens) * sz(model_.topk) * sizeof(std::uint16_t));
  };
  hold_ids(physical_slots_);
  experts_.clear();
  for (int layer = 0; layer < model_.layers; ++layer) {
    Buffer& locations_here = locations_[sz(layer)];
    if (locations_here.bytes() < each * sizeof(Location)) {
      locations_here = device_.allocate(each * sizeof(Location));
    }
    device_.upload(locations_here, 0, &all[replicated ? 0 : sz(layer) * each],
                   each * sizeof(Location));
    experts_.push_back(store_.slots(placement, layer));
  }
  slots_ = sz(slots);
  hops_.front().resize(comm_.size(), slots * (forwarding_ ? topology_.largest_node() : 1));
  hops_.back().resize(comm_.size(), slots);
  if (graph_ == nullptr) return;
  graph_->use(std::move(all), replicated ? 0 : each, hops_);
  for (int layer = 0; layer < model_.layers; ++layer) hold_ids(graph_->of(layer).physical_slots);
}

void MoeLayers::load_step(int step, TokenRange tokens, std::span<const std::uint16_t> ids) {
  range_ = tokens;
  device_.make_inputs(stream_, {options_.seed, step, tokens.first, tokens.count, &hidden_state_});
  replaying_ = !ids.empty() || tokens.count == 0;
  if (graph_ != nullptr) graph_->load(ids);
  device_.upload(replay_, 0, ids.data(), ids.size_bytes());
  device_.synchronize(stream_);
}

double MoeLayers::run_step(std::span<LayerReading> readings) {
  if (graph_ != nullptr) return run_graph(readings);
  const double begin = previous_end_ = read(options_.clock);
  for (int layer = 0; layer < model_.layers; ++layer) {
    readings[sz(layer)] = options_.whole_steps ? run_unread(layer) : run_layer(layer);
  }
  if (options_.whole_steps) {
    device_.synchronize(stream_);
    return read(options_.clock) - begin;
  }
  for (int layer = 0; device_clock_ != nullptr && layer < model_.layers; ++layer) {
    for (int phase = 0; phase < kPhases; ++phase) {
      readings[sz(layer)].device_time[sz(phase)] = device_clock_->seconds_of(span_of(layer, phase));
    }
  }
  return options_.clock == Clock::wall ? previous_end_ - begin : kNotMeasured;
}

// Where time is read: synchronise the device, read the clock, then the barrier, then read again.
// Reading after the barrier would book the device's work as waiting. Nothing in here allocates,
// prints or logs.
LayerReading MoeLayers::run_layer(int layer) {
  const Clock clock = options_.clock;
  enter(Phase::start_barrier, layer);
  comm_.barrier();
  const double t0 = read(clock);
  run_phase(0, &MoeLayers::route, layer);
  hold_back(t0);
  const double t1 = read(clock);
  run_phase(1, &MoeLayers::dispatch, layer);
  const double t2 = read(clock);
  run_phase(2, &MoeLayers::experts, layer);
  hold_back(t2);
  const double t3 = read(clock);
  enter(Phase::barrier, layer);
  comm_.barrier();
  const double t4 = read(clock);
  run_phase(3, &MoeLayers::combine, layer);
  const double t5 = read(clock);

  LayerReading reading;
  if (clock == Clock::wall) {
    reading.start_time = t0;
    reading.start_wait = t0 - previous_end_;
    reading.route_time = t1 - t0;
    reading.dispatch_time = t2 - t1;
    reading.expert_time = t3 - t2;
    reading.barrier_wait = t4 - t3;
    reading.combine_time = t5 - t4;
    reading.layer_time = t5 - t0;
  } else {
    // Ranks share CPUs: only the thread's own compute time can be separated from the other ranks'
    // time, and a slower rank is emulated by stretching its reading.
    reading.route_time = (t1 - t0) * options_.slowdown;
    reading.expert_time = (t3 - t2) * options_.slowdown;
  }
  count(layer, reading);
  previous_end_ = t5;
  return reading;
}

LayerReading MoeLayers::run_unread(int layer) {
  route(layer);
  dispatch(layer);
  experts(layer);
  combine(layer);
  LayerReading reading;
  count(layer, reading);
  return reading;
}

void MoeLayers::count(int layer, LayerReading& reading) {
  for (const std::int32_t tokens : hops_.back().slot_counts) {
    reading.tokens += tokens;
    reading.active_experts += tokens > 0 ? 1 : 0;
  }
  for (const Hop& hop : hops_) {
    for (int rank = 0; rank < comm_.size(); ++rank) {
      const std::int64_t rows = hop.rows_out[sz(rank)];
      const std::int64_t bytes = rows * static_cast<std::int64_t>(row_bytes_);
      rows_to_[sz(layer) * sz(comm_.size()) + sz(rank)] += rows;
      if (rank == comm_.rank()) continue;
      reading.bytes_sent += bytes;
      reading.metadata_bytes += hop.metadata_bytes(sz(rank));
      if (topology_.node(rank) != topology_.node(comm_.rank())) reading.inter_node_bytes += bytes;
    }
  }
}

void MoeLayers::run_phase(int phase, void (MoeLayers::*work)(int), int layer) {
  if (device_clock_ != nullptr) device_clock_->begin_span(span_of(layer, phase));
  (this->*work)(layer);
  if (device_clock_ != nullptr) device_clock_->end_span(stream_);
  device_.synchronize(stream_);
}

void MoeLayers::enter(Phase phase, int layer) {
  if (options_.progress) options_.progress->enter(phase, layer);
  device_.enter(name_of(phase), layer);
}

// What each phase puts on the stream; run_layer() has their order and the clock.

void MoeLayers::route(int layer) {
  enter(Phase::route, layer);
  RouteArgs args;
  args.tokens = range_.count;
  args.hidden_state = &hidden_state_;
  args.router = &routers_[sz(layer)];
  args.replay = replaying_ ? &replay_ : nullptr;
  args.replay_offset = sz(layer) * sz(range_.count) * sz(model_.topk) * sizeof(std::uint16_t);
  args.normed = &normed_;
  args.payload = &payload_;
  args.logits = &logits_;
  args.gate_ids = &gate_ids_;
  args.ids = &ids_;
  args.weights = &weights_;
  args.mark = mark(layer, Mark::begin);
  device_.route(stream_, args);
}

void MoeLayers::choose_replicas(int layer) {
  device_.synchronize(stream_);
  host_ids_.resize(sz(range_.count) * sz(model_.topk));
  device_.download(host_ids_.data(), ids_, 0, host_ids_.size() * sizeof(std::uint16_t));
  share_among_replicas(layer);
}

void MoeLayers::share_among_replicas(int layer) {
  std::fill(own_counts_.begin(), own_counts_.end(), 0);
  for (const auto id : host_ids_) ++own_counts_[id];
  const bool all = replicas_->needs_all_counts();
  if (all) comm_.all_gather(own_counts_, all_counts_);
  replicas_->choose(layer, comm_.rank(), all ? all_counts_ : own_counts_, host_ids_);
  device_.upload(physical_slots_, 0, host_ids_.data(), host_ids_.size() * sizeof(std::uint16_t));
}

void MoeLayers::dispatch(int layer) {
  announce(layer);
  forward();
  send();
}

void MoeLayers::announce(int layer) {
  enter(Phase::dispatch, layer);
  if (replicas_ && !recording()) choose_replicas(layer);
  PackArgs args;
  args.tokens = range_.count;
  args.slots = static_cast<int>(hops_.front().slot_counts.size());
  args.payload = &payload_;
  args.ids = replicas_ ? &physical_slots_ : &ids_;
  args.weights = &weights_;
  args.locations = &locations_[sz(layer)];
  args.send_rows = &send_rows_;
  args.send_pairs = &send_pairs_;
  args.row_token = &row_token_;
  if (!recording()) args.counts = hops_.front().send_counts;
  args.mark = mark(layer, Mark::routed);
  device_.pack(stream_, args);
  if (!recording()) hops_.front().exchange_counts(comm_);
}

void MoeLayers::forward() {
  if (!forwarding_) return;
  hops_.front().send(device_, stream_, send_pairs_, send_rows_, forwarding_->pairs(),
                     forwarding_->rows(), row_bytes_);
  forwarding_->forward(stream_, hops_.front(), hops_.back(), static_cast<int>(slots_));
}

void MoeLayers::send() {
  if (forwarding_) {
    forwarding_->send(stream_, hops_.back(), recv_pairs_, recv_rows_);
  } else {
    hops_.front().send(device_, stream_, send_pairs_, send_rows_, recv_pairs_, recv_rows_,
                       row_bytes_);
  }
}

void MoeLayers::experts(int layer) {
  enter(Phase::experts, layer);
  ExpertArgs args;
  args.slots = experts_[sz(layer)];
  args.rows_from = hops_.back().rows_in;
  args.pairs_from = hops_.back().pairs_in;
  args.pairs_to = hops_.back().slot_counts;
  args.rows = &recv_rows_;
  args.pairs = &recv_pairs_;
  args.sums = &sums_;  // empty where it is not needed
  args.results = &results_;
  args.slot_tokens = &slot_tokens_;
  args.mark = mark(layer, Mark::arrived);
  device_.experts(stream_, args);
  if (model_.shared > 0) {
    device_.shared_experts(stream_, {range_.count, shared_[sz(layer)], &payload_, &shared_sums_});
  }
}

void MoeLayers::combine(int layer) {
  enter(Phase::combine, layer);
  if (forwarding_) {
    forwarding_->back(stream_, hops_.front(), hops_.back(), results_, returned_);
  } else {
    hops_.front().send_back(device_, stream_, results_, returned_, row_bytes_);
  }
  CombineArgs args;
  args.tokens = range_.count;
  args.rows = hops_.front().rows_sent();
  args.returned = &returned_;
  args.row_token = &row_token_;
  args.shared = model_.shared > 0 ? &shared_sums_ : nullptr;
  args.hidden_state = &hidden_state_;
  args.mark = mark(layer, Mark::returned);
  device_.combine(stream_, args);
}

void MoeLayers::hold_back(double begin) {
  if (options_.clock != Clock::wall || options_.slowdown <= 1) return;
  const double until = begin + (wall_seconds() - begin) * options_.slowdown;
  // A device's spin may end slightly early; the rest is spun again.
  for (double left = until - wall_seconds(); left > 0; left = until - wall_seconds()) {
    device_.spin(stream_, left);
    device_.synchronize(stream_);
  }
}

double MoeLayers::time_overhead(int layer) {
  const double begin = read(options_.clock);
  route(layer);
  if (model_.shared > 0) {
    device_.shared_experts(stream_, {range_.count, shared_[sz(layer)], &payload_, &shared_sums_});
  }
  device_.synchronize(stream_);
  return (read(options_.clock) - begin) * options_.slowdown;
}

std::vector<std::uint16_t> MoeLayers::last_ids() {
  std::vector<std::uint16_t> ids(sz(range_.count) * sz(model_.topk));
  device_.download(ids.data(), ids_, 0, ids.size() * sizeof(std::uint16_t));
  return ids;
}

std::vector<std::uint16_t> MoeLayers::last_gate_ids() {
  std::vector<std::uint16_t> ids(sz(range_.count) * sz(model_.topk));
  device_.download(ids.data(), gate_ids_, 0, ids.size() * sizeof(std::uint16_t));
  return ids;
}

std::vector<std::int32_t> MoeLayers::last_slot_tokens() {
  std::vector<std::int32_t> computed(slots_);
  device_.download(computed.data(), slot_tokens_, 0, slots_ * sizeof(std::int32_t));
  return computed;
}

std::vector<float> MoeLayers::hidden_state(int token) {
  std::vector<float> row(sz(model_.hidden));
  device_.download(row.data(), hidden_state_, sz(token) * row.size() * sizeof(float),
                   row.size() * sizeof(float));
  return row;
}

std::vector<float> MoeLayers::hidden_states() {
  std::vector<float> all(sz(range_.count) * sz(model_.hidden));
  device_.download(all.data(), hidden_state_, 0, all.size() * sizeof(float));
  return all;
}

std::int64_t MoeLayers::count_not_finite() {
  const std::vector<float> all = hidden_states();
  return std::count_if(all.begin(), all.end(), [](float x) { return !std::isfinite(x); });
}

}  // namespace gembench::inline moe_layer
