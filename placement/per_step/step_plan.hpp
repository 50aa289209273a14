#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline per_step {

/// What one layer of one step computes where. Reused from step to step.
struct StepPlan {
  std::vector<std::int32_t> expert;   ///< [rank][slot]; -1 = none
  std::vector<std::int64_t> tokens;   ///< [rank][slot] of that expert; 0 where there is none
  std::vector<std::int32_t> fetched;  ///< [rank] experts whose weights it receives in this step
};

/// Plans one layer of one step from its `tokens` [expert] of all ranks. Any thread at any time.
using PlanStep =
    std::function<void(std::span<const std::int32_t> tokens, int layer, StepPlan& plan)>;

/// What a system works with.
struct StepInput {
  /// Where experts are between steps. Systems that fetch keep one copy of every expert, its master
  /// (masters_of), and use all other slots anew in every step.
  const Placement& placement;
  const CostModel& cost;   ///< as many ranks; systems without speeds count tokens only
  int ranks_per_node = 0;  ///< consecutive ranks among which weights can move; 0 = all
  int least_tokens = 1;    ///< of a fetched replica; from 1
};

/// A system for a placement.
struct PreparedSystem {
  Placement base;  ///< what stays where it is between steps
  PlanStep plan;
};

}  // namespace gembench::inline per_step
