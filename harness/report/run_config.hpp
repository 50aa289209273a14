#pragma once

#include <string>

#include "results/run_file.hpp"

namespace gembench::inline report {

/// --non-moe-time of the run, seconds a layer.
[[nodiscard]] double stated_non_moe_time(const RunInfo& info);
/// "sum" or "per-expert": the cost model that the run planned with.
[[nodiscard]] std::string planned_cost(const RunInfo& info);

/// Whether placements, or files of them, were planned on the steps that they are judged on.
[[nodiscard]] bool planned_in_sample(const RunInfo& info);

}  // namespace gembench::inline report
