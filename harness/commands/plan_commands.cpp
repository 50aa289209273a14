#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/plan_problem.hpp"
#include "harness/report/replan_report.hpp"
#include "harness/report/score_report.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/plan_progress.hpp"
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

namespace gembench::inline commands {
namespace {

/// --max-moves: the current placement with a few swaps.
Replan rebalance(const PlanCommand& options, const Problem& problem, const CostModel& cost,
                 const SplitSpec& split) {
  const StopScope stop;
  PlanProgress progress("with --max-moves", options.quiet, "no placement was written");
  ReplanOptions how = options.replan;
  how.watch = progress.watch();
  how.move_seconds = move_seconds(options, problem.profile.model);
  how.split = split;
  Replan found = replan(problem.from->placement, problem.plan, cost, how);
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
  const CostModel cost = cost_model(options.cost, problem.profile, problem.asked.even);
  const TokenRule rule = token_rule(options.token_split, cost);
  const SplitSpec split = rule.spec();
  const double begin = wall_seconds();
  PlacementFile file;
  std::string rebalanced;
  if (options.replan.max_moves > 0) {
    const Replan found = rebalance(options, problem, cost, split);
    file.placement = found.placement;
    file.planned_on = problem.record(&*problem.from, true);
    rebalanced = replan_report(found, options.replan.horizon);
  } else {
    const StopScope stop;
    file.placement = plan_aloud(options.strategy, problem.input(options, cost, split),
                                options.quiet, "no placement was written");
    const auto begun_from = problem.file_of(options.strategy);
    file.planned_on =
        problem.record(begun_from ? &*begun_from : nullptr, looks_at_loads(options.strategy));
  }
  const double seconds = wall_seconds() - begin;
  file.layer_ids = problem.plan.layer_ids;
  file.model_layers = problem.plan.model_layers;
  file.model = problem.profile.model;
  file.seed = options.seed;
  const Score planned = score(problem.plan, file.placement, cost, nullptr, split);
  file.predicted_step = planned.step_mean;
  file.bound_step = planned.bound;
  file.trace_source = options.trace;
  file.profile_source = problem.context.profile;
  file.program = program_version();
  write_placement(owner, file, options.overwrite);
  std::vector<JudgedPlacement> rows{
      problem.judge(options.replan.max_moves > 0 ? file.placement.strategy : options.strategy,
                    seconds, file.placement, cost, split)};
  problem.say_origin("", *file.planned_on, rows[0]);
  if (options.format == "table") print_result("{}", rebalanced);
  print_result("{}", score_report(problem.context, rows, options.format));
  if (options.format == "table") print_result("# result: {}\n", options.output);
}

void execute(const ScoreCommand& options) {
  std::vector<std::string> read = options.strategies;
  for (const std::string& file : options.files) read.push_back("file:" + file);
  Problem problem = load_problem(ScoreCommand::kName, options, read);
  const CostModel cost = cost_model(options.cost, problem.profile, problem.asked.even);
  const TokenRule rule = token_rule(options.token_split, cost);
  const SplitSpec split = rule.spec();
  const std::vector<std::string> strategies = options.planned();
  std::vector<JudgedPlacement> rows;
  for (const std::string& name : strategies) {
    rows.push_back(problem.plan_and_judge(name, options, cost, split));
    const auto begun_from = problem.file_of(name);
    problem.say_origin(std::string(file_in(name)),
                       problem.record(begun_from ? &*begun_from : nullptr, looks_at_loads(name)),
                       rows.back());
    if (!options.ablation) continue;
    const std::optional<int> in_sample = rows.back().in_sample;
    const StopScope stop;
    PlanProgress progress(name + " for --ablation", options.quiet, "nothing was scored");
    PlanInput input = problem.input(options, cost, split);
    input.watch = progress.watch();
    for (const AblationRow& row : ablation(input, problem.judged, find_strategy(name).plan)) {
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
    rows.push_back(
        problem.judge(std::filesystem::path(path).filename(), 0, file.placement, cost, split));
    problem.say_origin(path, problem.record(&file, false), rows.back());
  }
  print_result("{}", score_report(problem.context, rows, options.format));
}

}  // namespace gembench::inline commands
