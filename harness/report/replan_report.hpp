#pragma once

#include <string>

#include "harness/cli/options.hpp"
#include "placement/strategies/replan.hpp"

namespace gembench::inline report {

/// Every exchange with what it saves and costs, as lines for people.
[[nodiscard]] std::string replan_report(const Replan& replan, const Options& options);

}  // namespace gembench::inline report
