#include "tests/bench/bare_layer.hpp"

#include <algorithm>
#include <numeric>

#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"

namespace gembench::bench {
BareLayers::BareLayers(const Comm& comm, Device& device, const ModelShape& model,
                       const ExpertStore& store, const RoutedStep& step, std::uint64_t seed)
    : comm_(comm),
      device_(device),
      model_(model),
      step_(step),
      seed_(seed),
      stream_(device.make_stream()),
      row_bytes_(sz(model.hidden) * size_of(device.dtype())) {
  const std::size_t ranks = sz(comm.size()), k = sz(model.topk), hidden = sz(model.hidden);
  const std::size_t tokens = sz(step.range.count), experts = sz(model.experts);
  const std::size_t rows = sz(step.limits.rows), pairs = sz(step.limits.pairs);
  const std::size_t sent = tokens * std::min(k, ranks);
  const auto make = [&](std::size_t bytes) { return device.allocate(bytes); };
  hidden_state_ = make(tokens * hidden * sizeof(float));
  replay_ = make(step.ids.size() * sizeof(std::uint16_t));
  normed_ = make(tokens * hidden * sizeof(float));
  payload_ = make(tokens * row_bytes_);
  logits_ = make(tokens * experts * sizeof(float));
  gate_ids_ = make(tokens * k * sizeof(std::uint16_t));
  ids_ = make(tokens * k * sizeof(std::uint16_t));
  weights_ = make(tokens * k * sizeof(float));
  send_rows_ = make(sent * row_bytes_);
  send_pairs_ = make(tokens * k * sizeof(Pair));
  row_token_ = make(sent * sizeof(std::int32_t));
  recv_rows_ = make(rows * row_bytes_);
  recv_pairs_ = make(pairs * sizeof(Pair));
  sums_ = make(rows * hidden * sizeof(float));
  results_ = make(rows * row_bytes_);
  returned_ = make(sent * row_bytes_);
  slot_tokens_ = make(experts * sizeof(std::int32_t));
  shared_sums_ = make(tokens * hidden * sizeof(float));

  device.upload(replay_, 0, step.ids.data(), step.ids.size() * sizeof(std::uint16_t));
  std::vector<float> router(hidden * experts);
  const std::vector<Location> all = locations(step.placement);
  for (int layer = 0; layer < model.layers; ++layer) {
    fill_gate(router, seed, layer, model);
    routers_.push_back(make(device.router_bytes()));
    device.load_router(routers_.back(), router);
    locations_.push_back(make(experts * sizeof(Location)));
    device.upload(locations_.back(), 0, &all[sz(layer) * experts], experts * sizeof(Location));
    experts_.push_back(store.slots(step.placement, layer));
    shared_.push_back(store.shared(layer));
  }
  slots_ = sz(step.placement.slots);
  slot_counts_.resize(slots_);
  for (auto* counts : {&send_counts_, &recv_counts_}) counts->resize((2 + slots_) * ranks);
  for (auto* split : {&rows_out_, &rows_in_, &pairs_out_, &pairs_in_}) split->resize(ranks);
}

void BareLayers::load() {
  std::vector<float> input(sz(step_.range.count) * sz(model_.hidden));
  fill_input(input, seed_, 0, step_.range.first, model_.hidden);
  device_.upload(hidden_state_, 0, input.data(), input.size() * sizeof(float));
}

void BareLayers::run_layer(int layer, bool start_barrier) {
  const int tokens = step_.range.count;
  if (start_barrier) comm_.barrier();
  device_.route(stream_,
                {.tokens = tokens,
                 .hidden_state = &hidden_state_,
                 .router = &routers_[sz(layer)],
                 .replay = &replay_,
                 .replay_offset = sz(layer) * sz(tokens) * sz(model_.topk) * sizeof(std::uint16_t),
                 .normed = &normed_,
                 .payload = &payload_,
                 .logits = &logits_,
                 .gate_ids = &gate_ids_,
                 .ids = &ids_,
                 .weights = &weights_});
  device_.synchronize(stream_);
  device_.pack(stream_, {.tokens = tokens,
                         .slots = static_cast<int>(slots_),
                         .payload = &payload_,
                         .ids = &ids_,
                         .weights = &weights_,
                         .locations = &locations_[sz(layer)],
                         .send_rows = &send_rows_,
                         .send_pairs = &send_pairs_,
                         .row_token = &row_token_,
                         .counts = send_counts_});
  comm_.all_to_all(send_counts_, recv_counts_);
  std::fill(slot_counts_.begin(), slot_counts_.end(), 0);
  for (std::size_t rank = 0; rank < rows_out_.size(); ++rank) {
    rows_out_[rank] = send_counts_[rank * (2 + slots_)];
    pairs_out_[rank] = send_counts_[rank * (2 + slots_) + 1];
    rows_in_[rank] = recv_counts_[rank * (2 + slots_)];
    pairs_in_[rank] = recv_counts_[rank * (2 + slots_) + 1];
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      slot_counts_[slot] += recv_counts_[rank * (2 + slots_) + 2 + slot];
    }
  }
  const RowExchange parts[] = {
      {&send_pairs_, pairs_out_, &recv_pairs_, pairs_in_, sizeof(Pair)},
      {&send_rows_, rows_out_, &recv_rows_, rows_in_, row_bytes_},
  };
  device_.exchange(stream_, parts);
  device_.synchronize(stream_);
  device_.experts(stream_, {.slots = experts_[sz(layer)],
                            .rows_from = rows_in_,
                            .pairs_from = pairs_in_,
                            .pairs_to = slot_counts_,
                            .rows = &recv_rows_,
                            .pairs = &recv_pairs_,
                            .sums = &sums_,
                            .results = &results_,
                            .slot_tokens = &slot_tokens_});
  if (model_.shared > 0) {
    device_.shared_experts(stream_, {tokens, shared_[sz(layer)], &payload_, &shared_sums_});
  }
  device_.synchronize(stream_);
  comm_.barrier();
  const RowExchange back{&results_, rows_in_, &returned_, rows_out_, row_bytes_};
  device_.exchange(stream_, {&back, 1});
  device_.combine(stream_, {.tokens = tokens,
                            .rows = std::accumulate(rows_out_.begin(), rows_out_.end(), 0),
                            .returned = &returned_,
                            .row_token = &row_token_,
                            .shared = model_.shared > 0 ? &shared_sums_ : nullptr,
                            .hidden_state = &hidden_state_});
  device_.synchronize(stream_);
}

std::vector<float> BareLayers::hidden_state(int token) const {
  std::vector<float> row(sz(model_.hidden));
  device_.download(row.data(), hidden_state_, sz(token) * row.size() * sizeof(float),
                   row.size() * sizeof(float));
  return row;
}

}  // namespace gembench::bench
