#include "moe_layer/step_graph.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "moe_layer/dispatch/known_counts.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline moe_layer {
namespace {

DeviceGraphs& graphs_of(Device& device) {
  if (DeviceGraphs* const graphs = device.graphs()) return *graphs;
  throw std::logic_error("this device records no steps");
}

}  // namespace

double Alignment::offset_at(double time) const {
  const double passed = (time - before.timer) / (after.timer - before.timer);
  return std::lerp(before.seconds, after.seconds, passed);
}

double Alignment::error() const {
  return std::max(before.error, after.error) + std::abs(after.seconds - before.seconds) / 2;
}

StepGraph::StepGraph(Device& device, int layers)
    : graphs_(graphs_of(device)), layers_(layers), known_(sz(layers)) {
  graphs_.reserve(layers, marks_of_step(layers));
  error_ = graphs_.align().error;  // known before the first step
}

void StepGraph::use(std::vector<Location> locations, std::size_t each,
                    const std::vector<Hop>& hops) {
  locations_ = std::move(locations);
  each_ = each;
  for (Known& known : known_) known.hops = hops;
}

void StepGraph::count(int layer, std::span<const std::uint16_t> ids, int topk, int slots,
                      std::span<std::int32_t> counts) const {
  const std::span<const Location> all = locations_;
  count_sends(ids, topk, all.subspan(sz(layer) * each_), slots, counts);
}

void StepGraph::begin(Stream stream) {
  graphs_.record(stream);
  recording_ = true;
}

void StepGraph::computed(Stream stream, int layer) {
  graphs_.stamp(stream, mark_of(layer, Mark::computed));
}

void StepGraph::hold_back(Stream stream, int layer, Mark mark, double factor) {
  if (factor > 1) graphs_.spin_since(stream, mark_of(layer, mark), factor);
}

void StepGraph::end(Stream stream) {
  graphs_.stamp(stream, mark_of(layers_, Mark::begin));
  recording_ = false;
  graphs_.keep(stream);
}

void StepGraph::read() {
  stamps_ = graphs_.stamps();
  alignment_.after = graphs_.align();
  // One for the whole step, so that its times add up.
  offset_ = alignment_.offset_at(std::midpoint(at(0, Mark::begin), at(layers_, Mark::begin)));
  error_ = std::max(error_, alignment_.error());
}

LayerReading StepGraph::reading(int layer) const {
  const double begin = at(layer, Mark::begin), routed = at(layer, Mark::routed),
               arrived = at(layer, Mark::arrived), computed = at(layer, Mark::computed),
               returned = at(layer, Mark::returned), end = at(layer + 1, Mark::begin);
  LayerReading reading;
  reading.start_time = begin + offset_;
  reading.start_wait = 0;
  reading.route_time = routed - begin;
  reading.dispatch_time = arrived - routed;
  reading.expert_time = computed - arrived;
  reading.barrier_wait = returned - computed;
  reading.combine_time = end - returned;
  reading.layer_time = end - begin;
  return reading;
}

double StepGraph::seconds() const {
  return at(layers_, Mark::begin) - at(0, Mark::begin);
}

}  // namespace gembench::inline moe_layer
