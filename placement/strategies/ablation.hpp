#pragma once

#include <array>

#include "placement/cost/score.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {

/// What a planner knew, and the score of its placement with the measured speeds.
struct AblationRow {
  bool per_step = false;        ///< used the loads of every step; else their mean over the steps
  bool measured_speed = false;  ///< those that are planned on; else equal_speeds of them
  Score score;                  ///< always judged with `truth`
};

/// {mean load, per step} x {equal, measured speed}, in this order: the gain from knowing loads over
/// time and speeds. The paper does not say which of them its score uses, so the two-by-two is ours.
/// `plan` is a strategy's function and `input` its input; it receives means as one step that is the
/// sum, with the cost of that many steps (expert_sums.hpp). Judged on `judged`, held-out steps,
/// with the speeds `truth`.
[[nodiscard]] std::array<AblationRow, 4> ablation(const PlanInput& input, const Trace& judged,
                                                  const CostModel& truth,
                                                  Placement (*plan)(const PlanInput&) = plan_gem);

}  // namespace gembench::inline strategies
