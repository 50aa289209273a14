#pragma once

#include <vector>

#include "moe_layer/device/buffer.hpp"
#include "moe_layer/dispatch/row_exchange.hpp"

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

/// Of a layer of a recorded step, in the place of what a phase finds out: the counts, and with
/// replicas its tokens' physical slots.
struct KnownLayer {
  std::vector<Hop> hops;
  Buffer physical_slots;  ///< u16 [token][k]
};

}  // namespace gembench::inline moe_layer
