#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/replan_report.hpp"
#include "harness/report/score_report.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/planning_speeds.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/profile_source.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/files/whole_file.hpp"
#include "placement/strategies/ablation.hpp"
#include "placement/strategies/strategy.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

/// What planners and judges know of the ranks' times: one cost model on two profiles.
struct Costs {
  Costs(const ProblemOptions& options, const Profile& judged, const Profile& planned_on, int slots)
      : judging(cost_model(options.cost, judged, slots)),
        planning(planned_on, judging.kind(), slots),
        judging_rule(token_rule(options.token_split, judging)),
        planning_rule(token_rule(options.token_split, planning)) {}

  CostModel judging, planning;
  TokenRule judging_rule, planning_rule;
};

/// What `plan` and `score` work on.
struct Problem {
  Trace plan;
  Trace judged;      ///< the later steps, or all
  Profile profile;   ///< that judges
  Profile planning;  ///< that is planned on: the same, or shrunk by its reliability
  SlotCount asked;
  std::optional<PlacementFile> from;
  TraceDigests digests;  ///< of the whole trace
  ScoreContext context;

  NodeNetwork network;

  [[nodiscard]] PlanInput input(const ProblemOptions& options, const Costs& costs) const {
    return plan_input(options, options.seed, {asked, options.nodes, options.groups, network}, plan,
                      costs.planning, costs.planning_rule.spec());
  }
  [[nodiscard]] JudgedPlacement judge(const std::string& name, double plan_seconds,
                                      const Placement& placement, const Costs& costs) const {
    const SplitSpec split = costs.judging_rule.spec();
    JudgedPlacement row{
        name, plan_seconds,
        score(judged, placement, costs.judging, from ? &from->placement : nullptr, split)};
    if (network.ranks_per_node > 0) row.nodes = node_traffic(judged, placement, network, split);
    return row;
  }
  /// The file that a strategy's name begins from.
  [[nodiscard]] std::optional<PlacementFile> file_of(const std::string& name) const {
    const std::string path(file_in(name));
    if (path.empty()) return std::nullopt;
    return read_placement_file_for(path, plan, profile.ranks);
  }
  [[nodiscard]] int first_judged() const { return context.held_out ? plan.steps : 0; }
  /// Of a placement that begins as this file, or was planned here from nothing.
  [[nodiscard]] PlanningRecord record(const PlacementFile* begun_from, bool planned_here) const {
    PlanningRecord all;
    if (begun_from) all = begun_from->planned_on.value_or(PlanningRecord{{}, false});
    if (planned_here) all.parts.push_back(planned_steps(digests, 0, plan.steps));
    return all;
  }
  /// Which of the judged steps the row's placement was planned on; a file is also named in the
  /// header.
  void say_origin(const std::string& path, const PlanningRecord& known, JudgedPlacement& row) {
    PlacementFile file;
    file.planned_on = known;
    const FileOrigin origin = origin_of(path, file, digests, first_judged(), judged.steps);
    row.in_sample = origin.planned;
    if (!path.empty()) context.notes.push_back(to_text(origin));
  }
};

/// Divides the trace into planning steps and judged steps.
void split_trace(const ProblemOptions& options, const Trace& whole, Problem& problem) {
  if (options.split > 0) {
    HeldOut parts = hold_out(whole, options.split);
    problem.plan = std::move(parts.plan);
    problem.judged = std::move(parts.judged);
    problem.context.held_out = true;
    return;
  }
  const int plan = options.plan_steps.value_or(whole.steps);
  if (plan > whole.steps) {
    throw usage_error(
        fmt::format("{} has only {} steps: lower --plan-steps", options.trace, whole.steps));
  }
  problem.context.held_out = plan < whole.steps;
  problem.plan = slice(whole, 0, plan);
  problem.judged = problem.context.held_out ? slice(whole, plan, whole.steps - plan) : whole;
}

/// `command` needs it; `read`: placements that are planned or judged, as strategies.
Problem load_problem(const char* command, const ProblemOptions& options,
                     std::vector<std::string> read) {
  if (options.trace.empty()) throw usage_error(fmt::format("{} needs --trace FILE", command));
  if (!options.from.empty()) read.push_back("file:" + options.from);
  Problem problem;
  const Trace whole = read_trace(options.trace);
  problem.digests = digests_of(whole);
  split_trace(options, whole, problem);
  const ProfileFile measured =
      load_profile_file({command, options.profile, options.ranks}, whole, problem.context.profile);
  PlanningSpeeds speeds = planning_speeds(options, measured);
  problem.profile = measured.profile;
  problem.planning = std::move(speeds.profile);
  problem.context.shrinkage = speeds.shrinkage;
  const int ranks = problem.profile.ranks;
  const StatedShape shape{ranks, whole.layers, whole.experts};
  problem.asked = slots_of(options, shape, placed_slots(read, shape));
  const auto slowdown = slowdown_of(options, ranks, options.seed);
  slow_down(problem.profile, slowdown, options.slowdown_floor);
  slow_down(problem.planning, slowdown, options.slowdown_floor);
  problem.network = node_network(options, problem.profile.model, ranks);
  if (!options.from.empty()) problem.from = read_placement_file_for(options.from, whole, ranks);
  const CostDecision chosen = decide_cost(options.cost, problem.profile);
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
  problem.context.slowdown = slowdown;
  return problem;
}

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

}  // namespace

void execute(const PlanCommand& options) {
  if (options.output.empty()) throw usage_error("plan needs --output FILE");
  const OutputOwner owner(options.output);
  if (!options.overwrite) require_new(options.output);
  require_writable(options.output);
  Problem problem = load_problem(PlanCommand::kName, options, {options.strategy});
  const Costs costs(options, problem.profile, problem.planning, problem.asked.even);
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
  write_placement(owner, file, options.overwrite);
  std::vector<JudgedPlacement> rows{
      problem.judge(options.replan.max_moves > 0 ? file.placement.strategy : options.strategy,
                    seconds, file.placement, costs)};
  problem.say_origin("", *file.planned_on, rows[0]);
  if (options.format == "table") print_result("{}", rebalanced);
  print_result("{}", score_report(problem.context, rows, options.format));
  if (options.format == "table") print_result("# result: {}\n", options.output);
}

void execute(const ScoreCommand& options) {
  std::vector<std::string> read = options.strategies;
  for (const std::string& file : options.files) read.push_back("file:" + file);
  Problem problem = load_problem(ScoreCommand::kName, options, read);
  const Costs costs(options, problem.profile, problem.planning, problem.asked.even);
  const std::vector<std::string> strategies = options.planned();
  std::vector<JudgedPlacement> rows;
  const auto plan_to_score = [&](const std::string& name) {
    const StopScope stop;
    return plan_aloud(name, problem.input(options, costs), options.quiet, "nothing was scored");
  };
  for (const std::string& name : strategies) {
    const double begin = wall_seconds();
    const Placement placement = plan_to_score(name);
    rows.push_back(problem.judge(name, wall_seconds() - begin, placement, costs));
    const auto begun_from = problem.file_of(name);
    problem.say_origin(std::string(file_in(name)),
                       problem.record(begun_from ? &*begun_from : nullptr, looks_at_loads(name)),
                       rows.back());
    if (!options.ablation) continue;
    const std::optional<int> in_sample = rows.back().in_sample;
    const StopScope stop;
    PlanProgress progress(name + " for --ablation", options.quiet, "nothing was scored");
    PlanInput input = problem.input(options, costs);
    input.watch = progress.watch();
    for (const AblationRow& row :
         ablation(input, problem.judged, costs.judging, find_strategy(name).plan)) {
      rows.push_back(
          {fmt::format("{}: {} loads, {} speed", name, row.per_step ? "per-step" : "mean",
                       row.measured_speed ? "measured" : "equal"),
           0,
           row.score,
           {},
           in_sample});
    }
    progress.finished();
  }
  for (const std::string& path : options.files) {
    const PlacementFile file = *problem.file_of("file:" + path);
    rows.push_back(problem.judge(std::filesystem::path(path).filename(), 0, file.placement, costs));
    problem.say_origin(path, problem.record(&file, false), rows.back());
  }
  print_result("{}", score_report(problem.context, rows, options.format));
}

}  // namespace gembench::inline commands
