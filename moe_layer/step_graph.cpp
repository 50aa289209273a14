// The members of MoeLayers that run a step as a graph.
#include "moe_layer/step_graph.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "moe_layer/dispatch/known_counts.hpp"
#include "moe_layer/layers.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline moe_layer {

void MoeLayers::exchange_known(int layer) {
  std::swap(hops_, known_[sz(layer)].hops);
  std::swap(physical_slots_, known_[sz(layer)].physical_slots);
}

void MoeLayers::know_counts() {
  if (!replaying_) throw std::logic_error("what the router decides is not known before the step");
  const std::size_t each = sz(range_.count) * sz(model_.topk);
  for (int layer = 0; layer < model_.layers; ++layer) {
    enter(Phase::dispatch, layer);
    exchange_known(layer);
    host_ids_.resize(each);
    std::copy_n(step_ids_.begin() + static_cast<std::ptrdiff_t>(sz(layer) * each), each,
                host_ids_.begin());
    const std::span<const Location> all = host_locations_;
    if (replicas_) share_among_replicas(layer);
    count_sends(host_ids_, model_.topk,
                replicas_ ? all : all.subspan(sz(layer) * sz(model_.experts), sz(model_.experts)),
                static_cast<int>(slots_), hops_.front().send_counts);
    hops_.front().exchange_counts(comm_);
    exchange_known(layer);
  }
}

void MoeLayers::record() {
  const auto slow = [&](int layer, Mark since) {
    if (options_.slowdown <= 1) return;
    graphs_->spin_since(stream_, mark_of(layer, since), options_.slowdown);
  };
  recording_ = true;
  graphs_->record(stream_);
  for (int layer = 0; layer < model_.layers; ++layer) {
    exchange_known(layer);
    route(layer);
    slow(layer, Mark::begin);
    dispatch(layer);
    experts(layer);
    slow(layer, Mark::arrived);
    graphs_->stamp(stream_, mark_of(layer, Mark::computed));
    combine(layer);
    exchange_known(layer);
  }
  graphs_->stamp(stream_, mark_of(model_.layers, Mark::begin));
  recording_ = false;
  graphs_->keep(stream_);
}

void MoeLayers::rehearse_graph(TokenRange tokens) {
  const auto one = step_ids_;
  auto all = one;
  for (int layer = 1; layer < model_.layers; ++layer) {
    all.insert(all.end(), one.begin(), one.end());
  }
  load_step(0, tokens, all);
  std::vector<LayerReading> readings(sz(model_.layers));
  static_cast<void>(run_graph(readings));
  clear_rows_to();
}

// Everything up to the barrier is off the clock: the times are those that the device stamps.
double MoeLayers::run_graph(std::span<LayerReading> readings) {
  know_counts();
  record();
  const TimerOffset offset = graphs_->align();
  stamp_error_ = std::max(stamp_error_, offset.error);
  enter(Phase::start_barrier, 0);
  comm_.barrier();
  if (options_.progress) options_.progress->enter(Phase::step);
  device_.enter(name_of(Phase::step), 0);
  graphs_->launch(stream_);
  device_.synchronize(stream_);

  const std::span<const double> stamps = graphs_->stamps();
  const auto at = [&](int layer, Mark mark) { return stamps[sz(mark_of(layer, mark))]; };
  for (int layer = 0; layer < model_.layers; ++layer) {
    LayerReading reading;
    const double begin = at(layer, Mark::begin), computed = at(layer, Mark::computed);
    reading.start_time = begin + offset.seconds;
    reading.start_wait = 0;
    reading.route_time = at(layer, Mark::routed) - begin;
    reading.dispatch_time = at(layer, Mark::arrived) - at(layer, Mark::routed);
    reading.expert_time = computed - at(layer, Mark::arrived);
    reading.barrier_wait = at(layer, Mark::returned) - computed;
    reading.combine_time = at(layer + 1, Mark::begin) - at(layer, Mark::returned);
    reading.layer_time = at(layer + 1, Mark::begin) - begin;
    exchange_known(layer);
    count(layer, reading);
    exchange_known(layer);
    readings[sz(layer)] = reading;
  }
  return at(model_.layers, Mark::begin) - at(0, Mark::begin);
}

}  // namespace gembench::inline moe_layer
