#pragma once

#include <string>

#include "placement/strategies/replan.hpp"

namespace gembench::inline report {

/// Every exchange with what it saves and costs, as lines for people.
[[nodiscard]] std::string replan_report(const Replan& replan, double horizon);

}  // namespace gembench::inline report
