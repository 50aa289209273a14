#pragma once

#include "placement/per_step/step_plan.hpp"

namespace gembench::inline per_step {

/// `placement` with one copy of every expert, the others' slots empty. Of an expert with several,
/// the copy on the rank that has fewest masters so far stays (the lowest such rank), experts with
/// one copy counted first. Ours: UltraEP has masters only.
[[nodiscard]] Placement masters_of(const Placement& placement);

/// UltraEP's planner, afresh from its description (arXiv:2606.04101;
/// https://github.com/Dots-Infra/UltraEP, MIT): the least threshold, by bisection, at which every
/// rank above it can hand its excess to ranks below it. Ranks above it come in falling order, their
/// experts by falling tokens. A quota of an expert goes to the rank with the most room (the lowest
/// of several) that has a redundant slot left, no copy of it yet, is on the same node, and gets
/// `least_tokens` at least. Masters never move.
///
/// The threshold is one of time by `cost`: what a rank can take is what it finishes by then, on its
/// own curve. For ranks of a second per token, time is tokens and this is UltraEP; with measured
/// speeds it is ours. Also ours: in which order a rank's experts come, and that a quota is raised
/// to `least_tokens` where the excess is less.
///
/// Fetched weights are dropped after the step: the next one fetches again, as other layers need the
/// slots. Usage error for a cost model of other ranks and for less than one least token.
[[nodiscard]] PreparedSystem plan_by_threshold(const StepInput& input, const CostModel& cost);

}  // namespace gembench::inline per_step
