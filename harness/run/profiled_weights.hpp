#pragma once

#include <cstddef>
#include <vector>

#include "placement/cost/placement.hpp"

namespace gembench::inline run {

/// Placements whose experts take turns in a profile. While `count` placements alternate with all
/// their experts in memory, an expert's weights are evicted from caches by those of the others, so
/// a profile over one placement's experts would find weights in a cache that the run reads from
/// memory.
///
/// Returns `profiled` and copies of it with shifted experts. They have as many different experts a
/// rank as `count` random placements would have on average. `set_bytes`: weights of `profiled` on
/// all ranks of a node; together they need no more than fills every cache of today's nodes.
[[nodiscard]] std::vector<Placement> profiled_weights(const Placement& profiled, int count,
                                                      std::size_t set_bytes);

}  // namespace gembench::inline run
