#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// Usage error if trace and placement differ in layers or experts, or placement and profile in
/// ranks.
void require_same_shape(const Trace& trace, const Placement& placement);
void require_same_ranks(const Placement& placement, const CostModel& cost);

/// [step][layer][rank]: tokens every rank would get, split among replicas as `split` says. Usage
/// error when trace and placement have different shapes.
[[nodiscard]] std::vector<std::int64_t> rank_loads(const Trace& trace, const Placement& placement,
                                                   const SplitSpec& split = {});

/// Predicted seconds of every rank in one (step, layer): `loads` [rank] tokens -> `seconds` [rank].
/// With cost model `per-expert` as if they were spread evenly over a rank's experts.
void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<double> seconds);
/// The same by either cost model, from `loads` [rank] with `sum` and from the tokens of `slots`
/// [rank][slot] with `per-expert`; the other one is not read.
void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<const std::int64_t> slots, std::span<double> seconds);
/// Seconds of ranks in a step of a trace by either cost model: prefer this one.
void rank_seconds(const CostModel& cost, const TokenSplit& split, const Trace& trace, int step,
                  int layer, std::span<double> seconds);

/// [step][layer]: predicted seconds to the barrier, max over ranks of the cost of its load.
/// `pulse`, if set, is called every step and may throw.
[[nodiscard]] std::vector<double> predicted_layer_seconds(const Trace& trace,
                                                          const Placement& placement,
                                                          const CostModel& cost,
                                                          const SplitSpec& split = {},
                                                          const std::function<void()>& pulse = {});

/// The objective of every planner: the sum of predicted_layer_seconds over all steps and layers.
[[nodiscard]] double objective(const Trace& trace, const Placement& placement,
                               const CostModel& cost, const SplitSpec& split = {},
                               const std::function<void()>& pulse = {});

}  // namespace gembench::inline cost
