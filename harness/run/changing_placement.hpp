#pragma once

#include <utility>
#include <vector>

#include "placement/cost/placement.hpp"

namespace gembench::inline run {

/// How a placement that is measured may change meanwhile.
struct AdaptivePlacement {
  bool adapts = false;  ///< by what is measured (Adaptation)
  /// By what is known beforehand: from which measured step on which placement; ascending.
  std::vector<std::pair<int, Placement>> later;
};

/// The placement in force at a measured step, of one that changes beforehand.
[[nodiscard]] const Placement& in_force(const Placement& start, const AdaptivePlacement& adaptive,
                                        int step);

}  // namespace gembench::inline run
