#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/commands/plan_problem.hpp"
#include "placement/strategies/replan_policy.hpp"

namespace gembench::inline commands {

/// Plans that `score` has made, by name, which are judged more than once.
struct ScoredPlans {
  struct Policy {
    std::vector<PolicyPart> parts;
    double seconds = 0;  ///< wall clock of planning
  };
  std::map<std::string, PlannedPlacement> placements;
  std::map<std::string, Policy> policies;
};

/// The strategy's placement, planned now unless it is among the `plans`.
[[nodiscard]] const PlannedPlacement& planned(const std::string& name, const ScoreCommand& options,
                                              const Problem& problem, const Costs& costs,
                                              ScoredPlans& plans);

/// --replan-every: a further row for a planned strategy that looks at loads, judged as a policy
/// whose moves are charged.
void judge_policy(const std::string& name, const ScoreCommand& options, const Problem& problem,
                  const Costs& costs, ScoredPlans& plans, std::vector<JudgedPlacement>& rows);

/// The header's sentence on --replan-every. Usage error if there are fewer judged steps, or the
/// size of an expert is unknown.
[[nodiscard]] std::string policy_note(const ScoreCommand& options, const Problem& problem);

}  // namespace gembench::inline commands
