#pragma once

#include "placement/base/plan_watch.hpp"
#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline strategies {

/// Reassigns each rank's set of experts to another rank, layer by layer, so that fast ranks get the
/// heavy sets: this makes the result of a planner that ignores speed speed-aware, without changing
/// which experts are together. Never raises objective() on `trace` with tokens split evenly.
///
/// Ours: starts from the rows as they are and from the heaviest row on the fastest rank; swaps two
/// ranks' rows while that lowers the layer's predicted cost (first improvement, pairs that cannot
/// win enough skipped exactly, at most a fixed number of swaps tried so that thousands of ranks
/// end); keeps the better end. Rows bring their replicas and empty slots along. Usage error for
/// shapes that do not belong together, a trace without steps and ranks without speed.
[[nodiscard]] Placement relabel(const Placement& placement, const Trace& trace,
                                const CostModel& cost, const PlanWatch& watch = {});

}  // namespace gembench::inline strategies
