#include "harness/commands/score_policy.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/run/byte_costs.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/stop.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/replan.hpp"

namespace gembench::inline commands {
namespace {

std::string row_name(const std::string& strategy, const ScoreCommand& options) {
  const std::string name = fmt::format("{} every {}", strategy, *options.replan_every);
  return options.max_moves > 0 ? fmt::format("{}, {} moves", name, options.max_moves) : name;
}

ScoredPlans::Policy follow_aloud(const std::string& name, const ScoreCommand& options,
                                 const Problem& problem, const Costs& costs,
                                 const PlannedPlacement& first) {
  const StopScope stop;
  const double begin = wall_seconds();
  const double arrival = move_seconds(options, problem.profile.model) * (1 - options.hidden);
  const std::string row = row_name(name, options);
  const Replanner again = [&](const Trace& seen, const Placement& now) {
    if (options.max_moves == 0)
      return plan_aloud(name, problem.input(options, costs).with(seen, costs.planning),
                        options.quiet, "nothing was scored");
    PlanProgress progress(row, options.quiet, "nothing was scored");
    ReplanOptions how;
    how.max_moves = options.max_moves;
    how.horizon = *options.replan_every;
    how.move_seconds = arrival / 2;  // both ranks of a swap receive at the same time
    how.split = costs.planning_rule.spec();
    how.watch = progress.watch();
    Placement found = replan(now, seen, costs.planning, how).placement;
    progress.finished();
    return found;
  };
  const ReplanPolicy policy{*options.replan_every, arrival, costs.planning_rule.spec()};
  std::vector<PolicyPart> parts =
      follow(policy, problem.plan, problem.judged, costs.planning, first.placement, again);
  return {std::move(parts), first.seconds + wall_seconds() - begin};
}

}  // namespace

const PlannedPlacement& planned(const std::string& name, const ScoreCommand& options,
                                const Problem& problem, const Costs& costs, ScoredPlans& plans) {
  const auto found = plans.placements.find(name);
  if (found != plans.placements.end()) return found->second;
  return plans.placements.emplace(name, problem.place(name, options, costs)).first->second;
}

void judge_policy(const std::string& name, const ScoreCommand& options, const Problem& problem,
                  const Costs& costs, ScoredPlans& plans, std::vector<JudgedPlacement>& rows) {
  if (!options.replan_every || !looks_at_loads(name)) return;
  if (plans.policies.count(name) == 0) {
    const PlannedPlacement& first = planned(name, options, problem, costs, plans);
    plans.policies.emplace(name, follow_aloud(name, options, problem, costs, first));
  }
  const auto& [parts, seconds] = plans.policies.at(name);
  JudgedPlacement row{
      row_name(name, options), seconds,
      score(problem.judged, parts, costs.judging, problem.from ? &problem.from->placement : nullptr,
            costs.judging_rule.spec())};
  row.in_sample = rows.back().in_sample;  // later plans know no step that they are judged on
  row.charge.emplace();
  row.charge->by_step.assign(sz(problem.judged.steps), 0);
  row.replanned = {(problem.judged.steps - 1) / *options.replan_every,
                   static_cast<int>(parts.size()) - 1};
  for (const PolicyPart& part : parts) {
    row.charge->by_step[sz(part.first)] = part.seconds;
    row.replanned->moves += part.moves;
    row.replanned->seconds += part.seconds;
  }
  row.replanned->bytes =
      static_cast<double>(row.replanned->moves) * expert_bytes(options, problem.profile.model);
  row.charge->fetched = static_cast<double>(row.replanned->moves) / problem.judged.steps;
  row.charge->bytes = row.replanned->bytes / problem.judged.steps;
  row.charge->seconds = row.replanned->seconds / problem.judged.steps;
  rows.push_back(std::move(row));
}

std::string policy_note(const ScoreCommand& options, const Problem& problem) {
  if (*options.replan_every >= problem.judged.steps)
    throw usage_error(fmt::format(
        "with --replan-every {} nothing is replanned within {} judged steps: lower it, or judge on "
        "more steps",
        *options.replan_every, problem.judged.steps));
  static_cast<void>(expert_bytes(options, problem.profile.model));
  return fmt::format(
      "replanned every {} steps on the latest {}, as many as were planned on at first (ours); a "
      "layer takes its new plan if the time saved until the next replanning is more than its moves "
      "take; the saving is judged on steps that the plan did not see; "
      "weights arrive at {:g} GB/s, {:g} % of that time is hidden, and nothing else runs in the "
      "rest; planning is not charged",
      *options.replan_every, problem.plan.steps, options.bandwidth * 1e-9, options.hidden * 100);
}

}  // namespace gembench::inline commands
