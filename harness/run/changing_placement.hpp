#pragma once

#include <utility>
#include <vector>

#include "placement/cost/placement.hpp"

namespace gembench::inline run {

/// How a placement may change during the run.
struct AdaptivePlacement {
  bool adapts = false;  ///< by what is measured (Adaptation)
  /// Changes known in advance: the first measured step and its placement; ascending.
  std::vector<std::pair<int, Placement>> later;
};

/// The placement at a measured step, for changes known in advance.
[[nodiscard]] const Placement& in_force(const Placement& start, const AdaptivePlacement& adaptive,
                                        int step);

}  // namespace gembench::inline run
