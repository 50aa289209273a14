// A step as a graph: what is known before it, recording it, and its readings.
#include <stdexcept>
#include <utility>

#include "moe_layer/layers.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline moe_layer {

void MoeLayers::exchange_known(int layer) {
  std::swap(hops_, graph_->of(layer).hops);
  std::swap(physical_slots_, graph_->of(layer).physical_slots);
}

void MoeLayers::know_counts() {
  if (!replaying_) throw std::logic_error("what the router decides is not known before the step");
  const auto each = static_cast<std::ptrdiff_t>(sz(range_.count) * sz(model_.topk));
  for (int layer = 0; layer < model_.layers; ++layer) {
    enter(Phase::dispatch, layer);
    exchange_known(layer);
    const auto first = graph_->ids().begin() + layer * each;
    host_ids_.assign(first, first + each);
    if (replicas_) share_among_replicas(layer);
    graph_->count(layer, host_ids_, model_.topk, static_cast<int>(slots_),
                  hops_.front().send_counts);
    hops_.front().exchange_counts(comm_);
    exchange_known(layer);
  }
}

void MoeLayers::record() {
  graph_->begin(stream_);
  for (int layer = 0; layer < model_.layers; ++layer) {
    exchange_known(layer);
    route(layer);
    graph_->hold_back(stream_, layer, Mark::begin, options_.slowdown);
    dispatch(layer);
    experts(layer);
    graph_->hold_back(stream_, layer, Mark::arrived, options_.slowdown);
    graph_->computed(stream_, layer);
    combine(layer);
    exchange_known(layer);
  }
  graph_->end(stream_);
}

// Everything up to the barrier is off the clock: the times are those that the device stamps.
double MoeLayers::run_graph(std::span<LayerReading> readings) {
  know_counts();
  record();
  graph_->align();
  enter(Phase::start_barrier, 0);
  comm_.barrier();
  if (options_.progress) options_.progress->enter(Phase::step);
  device_.enter(name_of(Phase::step), 0);
  graph_->launch(stream_);
  device_.synchronize(stream_);
  graph_->read();
  for (int layer = 0; layer < model_.layers; ++layer) {
    readings[sz(layer)] = graph_->reading(layer);
    exchange_known(layer);
    count(layer, readings[sz(layer)]);
    exchange_known(layer);
  }
  return graph_->seconds();
}

}  // namespace gembench::inline moe_layer
