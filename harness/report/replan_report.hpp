#pragma once

#include <string>

#include "placement/strategies/replan.hpp"

namespace gembench::inline report {

/// Every swap with its gain and cost, as text lines.
[[nodiscard]] std::string replan_report(const Replan& replan, double horizon);

}  // namespace gembench::inline report
