#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/placement.hpp"
#include "placement/profile.hpp"
#include "placement/trace.hpp"

namespace gembench {

/// Usage error when trace and placement have different layers or experts, or placement and profile
/// different ranks.
void require_same_shape(const Trace& trace, const Placement& placement);
void require_same_ranks(const Placement& placement, const CostModel& cost);

/// [step][layer][rank]: tokens every rank would get, replicas counted as token_split.hpp says.
/// Usage error when trace and placement have different shapes.
[[nodiscard]] std::vector<std::int64_t> rank_loads(const Trace& trace, const Placement& placement);

/// Predicted seconds of every rank in one (step, layer): `loads` [rank] tokens -> `seconds` [rank].
/// Every judgement asks here.
void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<double> seconds);

/// [step][layer]: predicted seconds to the barrier, max over ranks of the cost of its load.
[[nodiscard]] std::vector<double> predicted_layer_seconds(const Trace& trace,
                                                          const Placement& placement,
                                                          const CostModel& cost);

/// What every planner minimises: the sum of predicted_layer_seconds over all steps and layers.
[[nodiscard]] double objective(const Trace& trace, const Placement& placement,
                               const CostModel& cost);

/// A lower bound on objective() for any placement with `slots` slots per rank (0 = experts/ranks),
/// even one that changes every step: per (step, layer) the larger of the fractional optimum (all
/// tokens spread so that ranks finish together) and the hottest expert on the rank where it is
/// cheapest: all of it, or the share of one of as many replicas as the slots allow.
[[nodiscard]] double lower_bound(const Trace& trace, const CostModel& cost, int slots = 0);

}  // namespace gembench
