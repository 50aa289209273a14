#include "moe_layer/layers.hpp"

#include <algorithm>
#include <numeric>

#include "moe_layer/weights.hpp"

namespace gembench {
namespace {

constexpr int kPhases = 4;

/// Where a phase begins on the device's clock; it ends at the next mark.
int mark_of(int layer, int phase) {
  return 2 * (layer * kPhases + phase);
}

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

MoeLayers::MoeLayers(const Comm& comm, Device& device, const ModelShape& model, ExpertStore& store,
                     const LayerOptions& options)
    : comm_(comm),
      device_(device),
      model_(model),
      store_(store),
      options_(options),
      stream_(device.make_stream()),
      row_bytes_(sz(model.hidden) * size_of(device.dtype())) {
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

  std::vector<float> router(hidden * sz(model.experts));
  for (int layer = 0; layer < model.layers; ++layer) {
    fill_gate(router, options.seed, layer, model);
    routers_.push_back(make(device.router_bytes()));
    device.load_router(routers_.back(), router);
    homes_.push_back(make(sz(model.experts) * sizeof(Home)));
    shared_.push_back(store.shared(layer));
  }
  input_.reserve(tokens * hidden);
  for (auto* split : {&rows_out_, &rows_in_, &pairs_out_, &pairs_in_}) split->resize(ranks);
  rows_to_.assign(layers * ranks, 0);
  device.prepare({tokens, rows, pairs});
  device.reserve_marks(mark_of(model.layers, 0));
}

void MoeLayers::use(const Placement& placement) {
  const std::vector<Home> all = homes(placement);
  experts_.clear();
  for (int layer = 0; layer < model_.layers; ++layer) {
    device_.upload(homes_[sz(layer)], 0, &all[sz(layer) * sz(model_.experts)],
                   sz(model_.experts) * sizeof(Home));
    experts_.push_back(store_.slots(placement, layer));
  }
  slots_ = sz(placement.slots);
  slot_counts_.assign(slots_, 0);
  send_counts_.assign(rows_out_.size() * (2 + slots_), 0);
  recv_counts_ = send_counts_;
}

void MoeLayers::load_step(int step, TokenRange tokens, std::span<const std::uint16_t> ids) {
  range_ = tokens;
  input_.resize(sz(tokens.count) * sz(model_.hidden));
  fill_input(input_, options_.seed, step, tokens.first, model_.hidden);
  device_.upload(hidden_state_, 0, input_.data(), input_.size() * sizeof(float));
  replaying_ = !ids.empty() || tokens.count == 0;
  device_.upload(replay_, 0, ids.data(), ids.size_bytes());
  device_.synchronize(stream_);
}

double MoeLayers::run_step(std::span<LayerReading> readings) {
  const double begin = previous_end_ = read(options_.clock);
  for (int layer = 0; layer < model_.layers; ++layer) {
    readings[sz(layer)] = options_.whole_steps ? run_unread(layer) : run_layer(layer);
  }
  if (options_.whole_steps) {
    device_.synchronize(stream_);
    return read(options_.clock) - begin;
  }
  for (int layer = 0; layer < model_.layers; ++layer) {
    for (int phase = 0; phase < kPhases; ++phase) {
      const int from = mark_of(layer, phase);
      readings[sz(layer)].device_time[sz(phase)] = device_.seconds_between(from, from + 1);
    }
  }
  return options_.clock == Clock::wall ? previous_end_ - begin : kNotMeasured;
}

// Where time is read: synchronise the device, read the clock, then the barrier, then read again.
// Reading after the barrier would book the device's work as waiting. Nothing in here allocates,
// prints or logs.
LayerReading MoeLayers::run_layer(int layer) {
  const Clock clock = options_.clock;
  device_.enter("start barrier", layer);
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
  device_.enter("barrier", layer);
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
    // Ranks share CPUs: only the thread's own compute can be told from the others' turns, and a
    // slower rank is emulated by stretching its reading.
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
  for (const std::int32_t tokens : slot_counts_) {
    reading.tokens += tokens;
    reading.active_experts += tokens > 0 ? 1 : 0;
  }
  for (std::size_t rank = 0; rank < rows_out_.size(); ++rank) {
    rows_to_[sz(layer) * rows_out_.size() + rank] += rows_out_[rank];
    if (rank == sz(comm_.rank())) continue;
    reading.bytes_sent += rows_out_[rank] * static_cast<std::int64_t>(row_bytes_);
    reading.metadata_bytes += pairs_out_[rank] * static_cast<std::int64_t>(sizeof(Pair)) +
                              static_cast<std::int64_t>((2 + slots_) * sizeof(std::int32_t));
  }
}

void MoeLayers::run_phase(int phase, void (MoeLayers::*work)(int), int layer) {
  device_.mark(stream_, mark_of(layer, phase));
  (this->*work)(layer);
  device_.mark(stream_, mark_of(layer, phase) + 1);
  device_.synchronize(stream_);
}

void MoeLayers::hold_back(double begin) {
  if (options_.clock != Clock::wall || options_.slowdown <= 1) return;
  const double until = begin + (wall_seconds() - begin) * options_.slowdown;
  // A device's spin may end a little early; what is then left is spun again.
  for (double left = until - wall_seconds(); left > 0; left = until - wall_seconds()) {
    device_.spin(stream_, left);
    device_.synchronize(stream_);
  }
}

void MoeLayers::route(int layer) {
  device_.enter("route", layer);
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
  device_.route(stream_, args);
}

void MoeLayers::dispatch(int layer) {
  device_.enter("dispatch", layer);
  PackArgs args;
  args.tokens = range_.count;
  args.slots = static_cast<int>(slots_);
  args.payload = &payload_;
  args.ids = &ids_;
  args.weights = &weights_;
  args.homes = &homes_[sz(layer)];
  args.send_rows = &send_rows_;
  args.send_pairs = &send_pairs_;
  args.row_token = &row_token_;
  args.counts = send_counts_;
  device_.pack(stream_, args);
  comm_.all_to_all(send_counts_, recv_counts_);
  std::fill(slot_counts_.begin(), slot_counts_.end(), 0);
  for (std::size_t rank = 0; rank < rows_out_.size(); ++rank) {
    const std::int32_t* sent = &send_counts_[rank * (2 + slots_)];
    const std::int32_t* received = &recv_counts_[rank * (2 + slots_)];
    rows_out_[rank] = sent[0];
    pairs_out_[rank] = sent[1];
    rows_in_[rank] = received[0];
    pairs_in_[rank] = received[1];
    for (std::size_t slot = 0; slot < slots_; ++slot) slot_counts_[slot] += received[2 + slot];
  }
  const RowExchange parts[] = {
      {&send_pairs_, pairs_out_, &recv_pairs_, pairs_in_, sizeof(Pair)},
      {&send_rows_, rows_out_, &recv_rows_, rows_in_, row_bytes_},
  };
  device_.exchange(stream_, parts);
}

void MoeLayers::experts(int layer) {
  device_.enter("experts", layer);
  ExpertArgs args;
  args.slots = experts_[sz(layer)];
  args.rows_from = rows_in_;
  args.pairs_from = pairs_in_;
  args.pairs_to = slot_counts_;
  args.rows = &recv_rows_;
  args.pairs = &recv_pairs_;
  args.sums = &sums_;  // empty where it is not needed
  args.results = &results_;
  args.slot_tokens = &slot_tokens_;
  device_.experts(stream_, args);
  if (model_.shared > 0) {
    device_.shared_experts(stream_, {range_.count, shared_[sz(layer)], &payload_, &shared_sums_});
  }
}

void MoeLayers::combine(int layer) {
  device_.enter("combine", layer);
  const RowExchange back{&results_, rows_in_, &returned_, rows_out_, row_bytes_};
  device_.exchange(stream_, {&back, 1});
  CombineArgs args;
  args.tokens = range_.count;
  args.rows = std::accumulate(rows_out_.begin(), rows_out_.end(), 0);
  args.returned = &returned_;
  args.row_token = &row_token_;
  args.shared = model_.shared > 0 ? &shared_sums_ : nullptr;
  args.hidden_state = &hidden_state_;
  device_.combine(stream_, args);
}

double MoeLayers::time_overhead() {
  const double begin = read(options_.clock);
  route(0);
  if (model_.shared > 0) {
    device_.shared_experts(stream_, {range_.count, shared_[0], &payload_, &shared_sums_});
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

}  // namespace gembench
