#pragma once

#include <string>

#include "harness/options.hpp"
#include "placement/replan.hpp"

namespace gembench {

/// Seconds that moving one expert's weights takes: --expert-bytes, or those of the model that
/// `model` names ("deepseek-v3 bf16", as profiles and placements say), over --bandwidth. 0 where
/// --bandwidth is not given; usage error where it is and nobody knows the bytes.
[[nodiscard]] double move_seconds(const Options& options, const std::string& model);

/// Every exchange with what it saves and costs, as lines for people.
[[nodiscard]] std::string replan_report(const Replan& replan, const Options& options);

}  // namespace gembench
