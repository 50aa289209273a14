#pragma once

#include <atomic>
#include <functional>
#include <string_view>

namespace gembench::inline base {

/// The progress of a strategy.
struct PlanStage {
  std::string_view part;  ///< part of its work, "" if there is only one: "cross-validation 3 of 10"
  int layer = 0;          ///< currently planned by one of the threads
  int done = 0;           ///< layers of this part that are planned
  int layers = 0;
};

/// Called with a strategy's progress, from any of its threads, often: when a layer begins and ends
/// and within long ones. May throw to end planning; it cannot change the plan otherwise.
using PlanWatch = std::function<void(const PlanStage&)>;

/// Layers planned in parallel, for a watch. An empty watch costs nothing.
class WatchedLayers {
 public:
  WatchedLayers(const PlanWatch& watch, int layers, std::string_view part = "")
      : watch_(watch), part_(part), layers_(layers) {}

  void at(int layer) const {
    if (watch_) watch_({part_, layer, done_, layers_});
  }
  void finished(int layer) {
    ++done_;
    at(layer);
  }
  /// The function that a search within the layer calls now and then; empty without a watch.
  [[nodiscard]] std::function<void()> pulse(int layer) const {
    if (!watch_) return {};
    return [this, layer] { at(layer); };
  }

 private:
  const PlanWatch& watch_;
  std::string_view part_;
  int layers_;
  std::atomic<int> done_{0};
};

}  // namespace gembench::inline base
