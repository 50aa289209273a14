#pragma once

#include <cstdint>
#include <vector>

#include "placement/placement.hpp"
#include "placement/profile.hpp"
#include "placement/trace.hpp"

namespace gembench {

/// [step][layer][rank]: tokens every rank would get. Usage error when trace and placement have
/// different shapes, or for a placement with replicas.
[[nodiscard]] std::vector<std::int64_t> rank_loads(const Trace& trace, const Placement& placement);

/// [step][layer]: predicted seconds to the barrier, max over ranks of the cost of its load.
[[nodiscard]] std::vector<double> predicted_layer_seconds(const Trace& trace,
                                                          const Placement& placement,
                                                          const CostModel& cost);

/// What every planner minimises: the sum of predicted_layer_seconds over all steps and layers.
[[nodiscard]] double objective(const Trace& trace, const Placement& placement,
                               const CostModel& cost);

/// A lower bound on objective() for any placement with experts/ranks slots per rank, even one that
/// changes every step: per (step, layer) the larger of the fractional optimum (all tokens spread
/// so that ranks finish together) and the hottest expert alone on the rank where it is cheapest.
[[nodiscard]] double lower_bound(const Trace& trace, const CostModel& cost);

}  // namespace gembench
