#pragma once

#include <string>
#include <utility>
#include <vector>

#include "placement/placement.hpp"

namespace gembench {

/// How a placement that is measured may change meanwhile.
struct LivePlacement {
  bool adapts = false;  ///< by what is measured (Adaptation)
  /// By what is known beforehand: from which measured step on which placement; ascending.
  std::vector<std::pair<int, Placement>> later;
};

/// "adapt:gem" begins as gem's placement and adapts; "oracle:gem" is planned anew by gem at every
/// --drift, knowing what it brings: what adapting could gain at best. Any other name stays.
struct LiveName {
  bool adapts = false, oracle = false;
  std::string strategy;
};
[[nodiscard]] LiveName live_name(const std::string& name);

/// The placement in force at a measured step, of one that changes beforehand.
[[nodiscard]] const Placement& in_force(const Placement& start, const LivePlacement& live,
                                        int step);

}  // namespace gembench
