#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "harness/run/planning_speeds.hpp"

namespace gembench::inline report {

/// How the speeds that were planned on were shrunk, as in OUTPUT.md; null if they were not.
[[nodiscard]] nlohmann::ordered_json shrinkage_json(const std::optional<Shrinkage>& shrinkage);

}  // namespace gembench::inline report
