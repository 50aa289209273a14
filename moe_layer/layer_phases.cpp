#include <algorithm>

#include "moe_layer/layers.hpp"
#include "placement/base/index.hpp"

/// What the phases of a layer put on the stream. When, and where the clock is read, is in
/// layers.cpp.
namespace gembench::inline moe_layer {
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
  device_.route(stream_, args);
}

void MoeLayers::choose_replicas(int layer) {
  device_.synchronize(stream_);
  host_ids_.resize(sz(range_.count) * sz(model_.topk));
  const std::size_t bytes = host_ids_.size() * sizeof(std::uint16_t);
  device_.download(host_ids_.data(), ids_, 0, bytes);
  std::fill(own_counts_.begin(), own_counts_.end(), 0);
  for (const auto id : host_ids_) ++own_counts_[id];
  const bool all = replicas_->needs_all_counts();
  if (all) comm_.all_gather(own_counts_, all_counts_);
  replicas_->choose(layer, comm_.rank(), all ? all_counts_ : own_counts_, host_ids_);
  device_.upload(cells_, 0, host_ids_.data(), bytes);
}

void MoeLayers::dispatch(int layer) {
  enter(Phase::dispatch, layer);
  if (replicas_) choose_replicas(layer);
  PackArgs args;
  args.tokens = range_.count;
  args.slots = static_cast<int>(legs_.front().slot_counts.size());
  args.payload = &payload_;
  args.ids = replicas_ ? &cells_ : &ids_;
  args.weights = &weights_;
  args.homes = &homes_[sz(layer)];
  args.send_rows = &send_rows_;
  args.send_pairs = &send_pairs_;
  args.row_token = &row_token_;
  args.counts = legs_.front().send_counts;
  device_.pack(stream_, args);
  legs_.front().exchange_counts(comm_);
  legs_.front().send(device_, stream_, send_pairs_, send_rows_,
                     forwarding_ ? forwarding_->pairs() : recv_pairs_,
                     forwarding_ ? forwarding_->rows() : recv_rows_, row_bytes_);
  if (forwarding_) {
    forwarding_->forward(stream_, legs_.front(), legs_.back(), static_cast<int>(slots_),
                         recv_pairs_, recv_rows_);
  }
}

void MoeLayers::experts(int layer) {
  enter(Phase::experts, layer);
  ExpertArgs args;
  args.slots = experts_[sz(layer)];
  args.rows_from = legs_.back().rows_in;
  args.pairs_from = legs_.back().pairs_in;
  args.pairs_to = legs_.back().slot_counts;
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
  enter(Phase::combine, layer);
  if (forwarding_) {
    forwarding_->back(stream_, legs_.front(), legs_.back(), results_, returned_);
  } else {
    legs_.front().send_back(device_, stream_, results_, returned_, row_bytes_);
  }
  CombineArgs args;
  args.tokens = range_.count;
  args.rows = legs_.front().rows_sent();
  args.returned = &returned_;
  args.row_token = &row_token_;
  args.shared = model_.shared > 0 ? &shared_sums_ : nullptr;
  args.hidden_state = &hidden_state_;
  device_.combine(stream_, args);
}

}  // namespace gembench::inline moe_layer
