#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/dispatch/row_exchange.hpp"
#include "moe_layer/layer_reading.hpp"
#include "placement/cost/placement.hpp"

namespace gembench::inline moe_layer {

/// What a recorded step passes in a layer, in this order. A layer ends where the next one begins.
enum class Mark {
  begin,     ///< its first work begins
  routed,    ///< route is done, dispatch begins
  arrived,   ///< the rows of all ranks have arrived, the experts begin
  computed,  ///< the experts are done, shared ones too
  returned,  ///< the results of all ranks have arrived
};
inline constexpr int kMarks = 5;

/// The number of a mark in a step (DeviceGraphs); the step ends with the begin of one more layer.
[[nodiscard]] constexpr int mark_of(int layer, Mark mark) {
  return layer * kMarks + static_cast<int>(mark);
}
[[nodiscard]] constexpr int marks_of_step(int layers) {
  return mark_of(layers, Mark::begin) + 1;
}

/// A timer compared with the host's clock before a step and after it. Seconds.
struct Alignment {
  TimerOffset before, after;

  /// What to add to the timer's `time` in between, if it drifts evenly.
  [[nodiscard]] double offset_at(double time) const;
  /// At most, where a step has the offset of its middle: half of the drift is in it.
  [[nodiscard]] double error() const;
};

/// A step that a device runs without the host, which knows everything before: the experts of its
/// tokens, and so the counts of all layers. MoeLayers puts the work of the layers on the stream.
class StepGraph {
 public:
  /// Of a layer, in the place of what a phase finds out.
  struct Known {
    std::vector<Hop> hops;
    Buffer physical_slots;  ///< u16 [token][k], where there are replicas
  };

  /// Needs a device that records.
  StepGraph(Device& device, int layers);

  /// For a placement: where what the step's ids name lies, one layer after the other, or (replicas)
  /// once for all of them; and hops of the right size.
  void use(std::vector<Location> locations, std::size_t each, const std::vector<Hop>& hops);
  /// The replayed experts of a step, [layer][token][k].
  void load(std::span<const std::uint16_t> ids) { ids_.assign(ids.begin(), ids.end()); }
  [[nodiscard]] const std::vector<std::uint16_t>& ids() const { return ids_; }
  /// Of a layer whose experts or physical slots these are, what packing will count.
  void count(int layer, std::span<const std::uint16_t> ids, int topk, int slots,
             std::span<std::int32_t> counts) const;
  [[nodiscard]] Known& of(int layer) { return known_[static_cast<std::size_t>(layer)]; }

  void begin(Stream stream);
  [[nodiscard]] bool recording() const { return recording_; }
  /// The experts of a layer are done.
  void computed(Stream stream, int layer);
  /// Emulates a slower rank: what came since `mark` takes `factor` times as long.
  void hold_back(Stream stream, int layer, Mark mark, double factor);
  void end(Stream stream);
  /// Off the clock: compares the device's timer with the host's clock, before the launch.
  void align() { alignment_.before = graphs_.align(); }
  /// Largest error of any step's alignment, seconds.
  [[nodiscard]] double error() const { return error_; }
  void launch(Stream stream) { graphs_.launch(stream); }
  /// After the stream's end: the layers' times, and the second alignment. See README.md.
  void read();
  [[nodiscard]] LayerReading reading(int layer) const;
  /// From the begin of the step's first work to its end.
  [[nodiscard]] double seconds() const;

 private:
  [[nodiscard]] double at(int layer, Mark mark) const {
    return stamps_[static_cast<std::size_t>(mark_of(layer, mark))];
  }

  DeviceGraphs& graphs_;
  int layers_;
  std::vector<Known> known_;  // [layer]
  std::vector<std::uint16_t> ids_;
  std::vector<Location> locations_;
  std::size_t each_ = 0;  // of locations_ from layer to layer: 0 = the same in all
  std::span<const double> stamps_;
  Alignment alignment_;
  double offset_ = 0, error_ = 0;
  bool recording_ = false;
};

}  // namespace gembench::inline moe_layer
