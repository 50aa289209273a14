#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
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

/// One row of the table: a system that decides in every step anew, once it knows the step's tokens.
struct StepSystem {
  std::string_view name;
  std::string_view summary;
  bool fetches = false;  ///< moves weights in every step; else it only splits replicas' tokens
  PreparedSystem (*prepare)(const StepInput&);

  /// Whether it can do anything for a placement: slots to fetch into, or replicas.
  [[nodiscard]] bool applies_to(const Placement& placement) const;
};

/// The table, in the order in which `gembench list` prints it.
[[nodiscard]] std::span<const StepSystem> step_systems();
/// Looks a name up; throws a usage error that lists the known names.
[[nodiscard]] const StepSystem& find_step_system(std::string_view name);

}  // namespace gembench::inline per_step
