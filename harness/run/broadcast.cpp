#include "harness/run/broadcast.hpp"

#include <concepts>
#include <cstdint>
#include <string>

#include "placement/base/index.hpp"

namespace gembench::inline run {
namespace {

template <std::integral Number>
void send(const Comm& comm, Number& number) {
  std::vector<Number> one{number};
  comm.broadcast(one);
  number = one[0];
}
template <class T>
void send(const Comm& comm, std::vector<T>& values) {
  comm.broadcast(values);
}
void send(const Comm& comm, std::string& text) {
  comm.broadcast(text);
}
// Structured bindings must name all fields.
void send(const Comm& comm, ActiveSweep& sweep);
void send(const Comm& comm, RoutedPoints& points);

template <class... Fields>
void send_all(const Comm& comm, Fields&... fields) {
  (send(comm, fields), ...);
}

void send(const Comm& comm, ActiveSweep& sweep) {
  auto& [loads, active, latency] = sweep;
  send_all(comm, loads, active, latency);
}
void send(const Comm& comm, RoutedPoints& routed) {
  auto& [points, tokens, latency] = routed;
  send_all(comm, points, tokens, latency);
}

}  // namespace

void broadcast(const Comm& comm, Trace& trace) {
  auto& [steps, layers, experts, topk, tokens, topk_ids, task, phase, layer_ids, model_layers,
         sources, source_tokens, requests, source] = trace;
  send_all(comm, steps, layers, experts, topk, tokens, topk_ids, task, phase, layer_ids,
           model_layers, sources, source_tokens, requests, source);
}

void broadcast(const Comm& comm, Profile& profile) {
  auto& [ranks, load_points, latency, spread, overhead, slowdown, slots, active, routed, model,
         device, clock] = profile;
  send_all(comm, ranks, load_points, latency, spread, overhead, slowdown, slots, active, routed,
           model, device, clock);
}

void broadcast(const Comm& comm, Placement& placement) {
  auto& [layers, ranks, slots, experts, slot_expert, strategy, repeats] = placement;
  send_all(comm, layers, ranks, slots, experts, slot_expert, strategy, repeats);
}

void broadcast(const Comm& comm, std::vector<Placement>& placements) {
  std::int64_t count = static_cast<std::int64_t>(placements.size());
  send(comm, count);
  placements.resize(static_cast<std::size_t>(count));
  for (Placement& placement : placements) broadcast(comm, placement);
}

}  // namespace gembench::inline run
