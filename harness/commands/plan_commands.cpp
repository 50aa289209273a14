#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "harness/cli/plan_options.hpp"
#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/plan_problem.hpp"
#include "harness/commands/score_draws.hpp"
#include "harness/commands/score_policy.hpp"
#include "harness/report/replan_report.hpp"
#include "harness/report/score_report.hpp"
#include "harness/report/score_verdict.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/learning_curve.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/planning_speeds.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/objective.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/files/whole_file.hpp"
#include "placement/per_step/step_score.hpp"
#include "placement/strategies/ablation.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline commands {
namespace {

/// --max-moves: the current placement with a few swaps.
Replan rebalance(const PlanCommand& options, const Problem& problem, const Costs& costs) {
  const StopScope stop;
  PlanProgress progress("with --max-moves", options.quiet, "no placement was written");
  ReplanOptions how = options.replan;
  how.watch = progress.watch();
  how.move_seconds = move_seconds(options, problem.profile.model);
  how.split = costs.planning_rule.spec();
  Replan found = replan(problem.from->placement, problem.plan, costs.planning, how);
  progress.finished();
  return found;
}

/// Steps that --learning-curve plans and judges on: held-out ones, or the last quarter of all.
HeldOut learning_parts(const Problem& problem) {
  HeldOut parts = problem.context.held_out ? HeldOut{problem.plan, problem.judged}
                                           : hold_out(problem.plan, 0.75);
  require_learnable(parts.plan.steps, parts.judged.steps);
  return parts;
}

/// `planned`: the strategy's placement for all planning steps, which need no second plan.
LearningCurve learning_curve_of(const PlanCommand& options, const Problem& problem,
                                const Costs& costs, const HeldOut& parts,
                                const Placement& planned) {
  const auto place = [&](const std::string& name, const Trace& steps) {
    if (name == options.strategy && options.replan.max_moves == 0 &&
        steps.steps == problem.plan.steps)
      return planned;
    const StopScope stop;
    const PlanInput input = problem.input(options, costs).with(steps, costs.planning);
    return plan_aloud(name, input, options.quiet, "no placement was written");
  };
  const auto seconds = [&](const Placement& placement, const Trace& steps) {
    return objective(steps, placement, costs.judging, costs.judging_rule.spec());
  };
  const std::string against = options.strategy == "eplb" ? "linear" : "eplb";
  return learning_curve({parts.plan, parts.judged, options.strategy, against, place, seconds});
}

/// Judges `placement`, whose row is the last one, under the systems of --per-step that can do
/// anything for it.
void judge_per_step(const ScoreCommand& options, const Problem& problem, const CostModel& cost,
                    const Placement& placement, std::vector<JudgedPlacement>& rows) {
  if (options.per_step.empty()) return;
  const JudgedPlacement base = rows.back();
  rows.back().charge = StepCharge{};
  for (const std::string& name : options.per_step) {
    const StepSystem& system = find_step_system(name);
    if (!system.applies_to(placement)) continue;
    const StepInput input{placement, cost, options.ranks_per_node.value_or(0),
                          options.least_tokens};
    const StepScore found = score_per_step(problem.judged, system, input,
                                           problem.from ? &problem.from->placement : nullptr);
    JudgedPlacement row{fmt::format("{} + {}", base.name, name), 0, found.score};
    row.in_sample = base.in_sample;
    row.forecast = false;
    row.charge = {found.fetched, 0, problem.judged.layers * options.solve_us * 1e-6};
    if (system.fetches) {
      const std::string& model = problem.profile.model;
      row.charge->bytes = found.fetched * expert_bytes(options, model);
      row.charge->seconds +=
          found.most_fetched * move_seconds(options, model) * (1 - options.hidden);
    }
    rows.push_back(row);
  }
}

/// The header's sentence on --per-step. Usage error if weights move and their size is unknown.
std::string per_step_note(const ScoreCommand& options, const std::string& model) {
  if (std::ranges::any_of(options.per_step,
                          [](const auto& name) { return find_step_system(name).fetches; })) {
    static_cast<void>(expert_bytes(options, model));
  }
  return fmt::format(
      "rebalanced every step: weights arrive at {:g} GB/s, {:g} % of that time is hidden, planning "
      "a layer takes {:g} us; a layer waits for the rank that receives most",
      options.bandwidth * 1e-9, options.hidden * 100, options.solve_us);
}

/// --ablation: the strategy, whose row is the last one, with less knowledge.
void judge_ablation(const std::string& name, const ScoreCommand& options, const Problem& problem,
                    const Costs& costs, std::vector<JudgedPlacement>& rows) {
  const std::optional<int> in_sample = rows.back().in_sample;
  const StopScope stop;
  PlanProgress progress(name + " for --ablation", options.quiet, "nothing was scored");
  PlanInput input = problem.input(options, costs);
  input.watch = progress.watch();
  for (const AblationRow& row :
       ablation(input, problem.judged, costs.judging, find_strategy(name).plan)) {
    rows.push_back({fmt::format("{}: {} loads, {} speed", name, row.per_step ? "per-step" : "mean",
                                row.measured_speed ? "measured" : "equal"),
                    0,
                    row.score,
                    {},
                    in_sample});
    rows.back().forecast = false;
  }
  progress.finished();
}

/// Names of the rows of files: without folders where that tells them from all other rows.
std::vector<std::string> row_names(const ScoreCommand& options) {
  std::map<std::string, int> used;
  for (const std::string& name : options.planned()) ++used[name];
  const auto short_name = [](const std::string& path) {
    return std::filesystem::path(path).filename().string();
  };
  for (const std::string& path : options.files) ++used[short_name(path)];
  std::vector<std::string> names;
  for (const std::string& path : options.files)
    names.push_back(used[short_name(path)] == 1 ? short_name(path) : "file:" + path);
  return names;
}

/// A row for every placement of the options, in their order; `notes` gets what is said of files.
std::vector<JudgedPlacement> judge_all(const ScoreCommand& options, const Problem& problem,
                                       const Costs& costs, ScoredPlans& plans,
                                       std::vector<std::string>& notes) {
  const std::vector<std::string> strategies = options.planned();
  std::vector<JudgedPlacement> rows;
  for (const std::string& name : strategies) {
    const auto& [placement, seconds] = planned(name, options, problem, costs, plans);
    rows.push_back(problem.judge(name, seconds, placement, costs));
    const auto begun_from = problem.file_of(name);
    problem.say_origin(std::string(file_in(name)),
                       problem.record(begun_from ? &*begun_from : nullptr, looks_at_loads(name)),
                       rows.back(), notes);
    judge_per_step(options, problem, costs.judging, placement, rows);
    if (options.ablation) judge_ablation(name, options, problem, costs, rows);
    judge_policy(name, options, problem, costs, plans, rows);
  }
  const std::vector<std::string> names = row_names(options);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& path = options.files[i];
    const PlacementFile file = *problem.file_of("file:" + path);
    rows.push_back(problem.judge(names[i], 0, file.placement, costs));
    problem.say_origin(path, problem.record(&file, false), rows.back(), notes);
    judge_per_step(options, problem, costs.judging, file.placement, rows);
  }
  if (!options.per_step.empty() && std::ranges::all_of(rows, &JudgedPlacement::forecast))
    throw usage_error(fmt::format(
        "no placement has anything to rebalance by {}: systems that fetch need --spare-slots N, "
        "lplb needs replicas",
        fmt::join(options.per_step, ", ")));
  if (options.replan_every)
    for (JudgedPlacement& row : rows)
      if (!row.charge) row.charge.emplace();
  return rows;
}

}  // namespace

void execute(const PlanCommand& options) {
  if (options.output.empty()) throw usage_error("plan needs --output FILE");
  const OutputOwner owner(options.output);
  if (!options.overwrite) require_new(options.output);
  require_writable(options.output);
  Problem problem = load_problem(PlanCommand::kName, options, {options.strategy});
  if (draws_speeds(options))
    problem.context.notes.push_back(
        "planned for drawn speeds: for real ranks, give theirs with --profile or --slowdown");
  const Costs costs = problem.costs(options);
  std::optional<HeldOut> learned;
  if (options.learning_curve) learned = learning_parts(problem);
  const double begin = wall_seconds();
  PlacementFile file;
  std::string rebalanced;
  if (options.replan.max_moves > 0) {
    const Replan found = rebalance(options, problem, costs);
    file.placement = found.placement;
    file.planned_on = problem.record(&*problem.from, true);
    rebalanced = replan_report(found, options.replan.horizon);
  } else {
    const StopScope stop;
    file.placement = plan_aloud(options.strategy, problem.input(options, costs), options.quiet,
                                "no placement was written");
    const auto begun_from = problem.file_of(options.strategy);
    file.planned_on =
        problem.record(begun_from ? &*begun_from : nullptr, looks_at_loads(options.strategy));
  }
  const double seconds = wall_seconds() - begin;
  file.layer_ids = problem.plan.layer_ids;
  file.model_layers = problem.plan.model_layers;
  file.model = problem.profile.model;
  file.seed = options.seed;
  const Score planned =
      score(problem.plan, file.placement, costs.judging, nullptr, costs.judging_rule.spec());
  file.predicted_step = planned.step_mean;
  file.bound_step = planned.bound;
  file.trace_source = options.trace;
  file.profile_source = problem.context.profile;
  if (problem.context.shrinkage) file.profile_source += "; " + to_text(*problem.context.shrinkage);
  file.program = program_version();
  if (learned)
    problem.context.learning = learning_curve_of(options, problem, costs, *learned, file.placement);
  write_placement(owner, file, options.overwrite);
  std::vector<JudgedPlacement> rows{
      problem.judge(options.replan.max_moves > 0 ? file.placement.strategy : options.strategy,
                    seconds, file.placement, costs)};
  problem.say_origin("", *file.planned_on, rows[0], problem.context.notes);
  problem.context.basis = {problem.plan.requests, tasks_of(problem.plan)};
  if (options.format == "table") print_result("{}", rebalanced);
  print_result("{}", score_report(problem.context, rows, options.format));
  if (options.format == "table") print_result("# result: {}\n", options.output);
}

void execute(const ScoreCommand& options) {
  std::vector<std::string> read = options.strategies;
  for (const std::string& file : options.files) read.push_back("file:" + file);
  Problem problem = load_problem(ScoreCommand::kName, options, read);
  if (!options.per_step.empty())
    problem.context.notes.push_back(per_step_note(options, problem.profile.model));
  if (options.replan_every) problem.context.notes.push_back(policy_note(options, problem));
  ScoredPlans plans;
  std::vector<JudgedPlacement> rows =
      judge_all(options, problem, problem.costs(options), plans, problem.context.notes);
  if (options.draws) {
    std::vector<std::string> repeated;
    add_draws(
        options, problem,
        [&](const Problem& drawn, const Costs& costs, bool again) {
          if (again) plans = {};
          return judge_all(options, drawn, costs, plans, repeated);
        },
        rows);
  }
  problem.context.verdict = score_verdict(problem.context, rows);
  print_result("{}", score_report(problem.context, rows, options.format));
}

}  // namespace gembench::inline commands
