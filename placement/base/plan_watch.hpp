#pragma once

#include <atomic>
#include <functional>
#include <string_view>

namespace gembench::inline base {

/// Where a strategy is.
struct PlanStage {
  std::string_view part;  ///< of its work, "" where there is one: "cross-validation 3 of 10"
  int layer = 0;          ///< that is planned now, by one of the threads
  int done = 0;           ///< layers of this part that are planned
  int layers = 0;
};

/// Told where a strategy is, from any of its threads, often: when a layer begins and ends and
/// within long ones. Throws to end the planning; nothing else it does changes what is planned.
using PlanWatch = std::function<void(const PlanStage&)>;

/// Layers planned side by side, for a watch. An empty one costs nothing.
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
  /// What a search within the layer calls now and then; empty without a watch.
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
