#include "harness/commands/plan_problem.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/cli/plan_options.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/planning_speeds.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/profile_source.hpp"
#include "harness/run/speed_errors.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {

Costs::Costs(const ProblemOptions& options, const Profile& judged, const Profile& planned_on,
             int slots)
    : judging(cost_model(options.cost, judged, slots)),
      planning(planned_on, judging.kind(), slots),
      judging_rule(token_rule(options.token_split, judging)),
      planning_rule(token_rule(options.token_split, planning)) {}

PlanInput Problem::input(const ProblemOptions& options, const Costs& costs) const {
  return plan_input(options, options.seed, {asked, options.nodes, options.groups, network}, plan,
                    costs.planning, costs.planning_rule.spec());
}

JudgedPlacement Problem::judge(const std::string& name, double plan_seconds,
                               const Placement& placement, const Costs& costs) const {
  const SplitSpec split = costs.judging_rule.spec();
  JudgedPlacement row{
      name, plan_seconds,
      score(judged, placement, costs.judging, from ? &from->placement : nullptr, split)};
  if (network.ranks_per_node > 0) row.nodes = node_traffic(judged, placement, network, split);
  return row;
}

PlannedPlacement Problem::place(const std::string& strategy, const ProblemOptions& options,
                                const Costs& costs) const {
  const StopScope stop;
  const double begin = wall_seconds();
  Placement placement =
      plan_aloud(strategy, input(options, costs), options.quiet, "nothing was scored");
  return {std::move(placement), wall_seconds() - begin};
}

JudgedPlacement Problem::plan_and_judge(const std::string& strategy, const ProblemOptions& options,
                                        const Costs& costs) const {
  const auto [placement, seconds] = place(strategy, options, costs);
  return judge(strategy, seconds, placement, costs);
}

void Problem::draw_speeds(const ProblemOptions& options, std::uint64_t seed) {
  profile = unslowed;
  planning = unslowed_planning;
  context.slowdown = slowdown_of(options, profile.ranks, seed);
  slow_down(profile, context.slowdown, options.slowdown_floor);
  slow_down(planning, context.slowdown, options.slowdown_floor);
}

std::optional<PlacementFile> Problem::file_of(const std::string& name) const {
  const std::string path(file_in(name));
  if (path.empty()) return std::nullopt;
  return read_placement_file_for(path, plan, profile.ranks);
}

PlanningRecord Problem::record(const PlacementFile* begun_from, bool planned_here) const {
  PlanningRecord all;
  if (begun_from) all = begun_from->planned_on.value_or(PlanningRecord{{}, false});
  if (planned_here) all.parts.push_back(planned_steps(digests, 0, plan.steps));
  return all;
}

void Problem::say_origin(const std::string& path, const PlanningRecord& known, JudgedPlacement& row,
                         std::vector<std::string>& notes) const {
  PlacementFile file;
  file.planned_on = known;
  const FileOrigin origin = origin_of(path, file, judged_digests, first_judged(), judged.steps);
  row.in_sample = origin.planned;
  if (!path.empty()) notes.push_back(to_text(origin));
}

namespace {

/// Requests of a part, if they are spread evenly over the steps; 0: not known.
std::int64_t requests_of(const Trace& whole, const Trace& part) {
  if (whole.requests == 0 || part.steps == whole.steps) return whole.requests;
  return std::max<std::int64_t>(1, whole.requests * part.steps / whole.steps);
}

/// Divides the trace into planning steps and judged steps.
void split_trace(const ProblemOptions& options, const Trace& whole, Problem& problem) {
  if (options.split > 0) {
    HeldOut parts = hold_out(whole, options.split);
    problem.plan = std::move(parts.plan);
    problem.judged = std::move(parts.judged);
    problem.context.held_out = true;
  } else {
    const int plan = options.plan_steps.value_or(whole.steps);
    if (plan > whole.steps) {
      throw usage_error(
          fmt::format("{} has only {} steps: lower --plan-steps", options.trace, whole.steps));
    }
    problem.context.held_out = plan < whole.steps;
    problem.plan = slice(whole, 0, plan);
    problem.judged = problem.context.held_out ? slice(whole, plan, whole.steps - plan) : whole;
  }
  problem.plan.requests = requests_of(whole, problem.plan);
  problem.judged.requests = requests_of(whole, problem.judged);
}

/// Loads of --judge, which must be of the same model.
void judge_on(const std::string& path, const Trace& whole, Problem& problem) {
  Trace judged = read_trace(path);
  if (judged.layers != whole.layers || judged.experts != whole.experts || judged.topk != whole.topk)
    throw usage_error(fmt::format(
        "{} has {} layers of {} experts, top-{}, and the loads planned on have {} of {}, top-{}: "
        "give --judge a recording of the same layers",
        path, judged.layers, judged.experts, judged.topk, whole.layers, whole.experts, whole.topk));
  problem.judged_digests = digests_of(judged);
  problem.judged = std::move(judged);
  problem.context.judged_on = path;
  problem.context.held_out = true;
}

}  // namespace

Problem make_problem(const char* command, const ProblemOptions& options, const Trace& whole,
                     std::vector<std::string> read) {
  if (!options.from.empty()) read.push_back("file:" + options.from);
  Problem problem;
  problem.digests = digests_of(whole);
  problem.judged_digests = problem.digests;
  split_trace(options, whole, problem);
  if (!options.judge.empty()) judge_on(options.judge, whole, problem);
  const ProfileFile measured =
      load_profile_file({command, options.profile, options.ranks}, whole, problem.context.profile);
  PlanningSpeeds speeds = planning_speeds(options, measured);
  problem.unslowed = measured.profile;
  problem.unslowed_planning = std::move(speeds.profile);
  problem.context.shrinkage = speeds.shrinkage;
  problem.speed_errors = speed_errors(measured, speeds.shrinkage);
  const int ranks = measured.profile.ranks;
  const StatedShape shape{ranks, whole.layers, whole.experts};
  problem.asked = slots_of(options, shape, placed_slots(read, shape));
  problem.draw_speeds(options, options.seed);
  problem.network = node_network(options, problem.profile.model, ranks);
  if (!options.from.empty()) problem.from = read_placement_file_for(options.from, whole, ranks);
  const CostDecision chosen = decide_cost(options.cost, problem.profile, problem.asked.even);
  const FitError fit = cost_model(options.cost, problem.profile, problem.asked.even).fit_error();
  problem.context.profile += fmt::format(
      "; cost model {} ({}), off by {:.2f} % on average and {:.2f} % at most where it was "
      "measured",
      name_of(chosen.kind), chosen.why, fit.mean * 100, fit.worst * 100);
  if (options.token_split != "even") {
    problem.context.profile += fmt::format("; tokens of replicas split by {}", options.token_split);
  }
  problem.context.trace = options.trace;
  for (const std::string& note :
       {totals_note(options.trace, whole),
        options.judge.empty() ? std::string() : totals_note(options.judge, problem.judged),
        options.profile.empty()
            ? std::string()
            : other_model_note(options.profile, problem.profile, whole, problem.asked.even),
        options.profile.empty() ? std::string()
                                : other_loads_note(options.profile, problem.profile, whole)}) {
    if (!note.empty()) problem.context.notes.push_back(note);
  }
  problem.context.ranks = ranks;
  problem.context.planned_steps = problem.plan.steps;
  problem.context.judged_steps = problem.judged.steps;
  problem.context.drawn_speeds = draws_speeds(options);
  return problem;
}

Problem load_problem(const char* command, const ProblemOptions& options,
                     std::vector<std::string> read) {
  if (options.trace.empty()) throw usage_error(fmt::format("{} needs --trace FILE", command));
  return make_problem(command, options, read_trace(options.trace), std::move(read));
}

}  // namespace gembench::inline commands
