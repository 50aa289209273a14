#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/byte_costs.hpp"
#include "harness/commands.hpp"
#include "harness/profile_source.hpp"
#include "harness/replan_report.hpp"
#include "harness/score_report.hpp"
#include "harness/version.hpp"
#include "harness/workload.hpp"
#include "moe_layer/clock.hpp"
#include "placement/ablation.hpp"
#include "placement/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/placement_file.hpp"
#include "placement/strategy.hpp"
#include "results/trace_file.hpp"

namespace gembench {
namespace {

/// What `plan` and `score` work on.
struct Problem {
  Trace plan;
  Trace judged;  ///< the later steps, or all
  Profile profile;
  int slots = 0;  ///< as PlanInput
  std::optional<Placement> from;
  ScoreContext context;

  NodeNetwork network;

  [[nodiscard]] PlanInput input(const Options& options, const CostModel& cost,
                                const SplitSpec& split) const {
    return {plan,  cost,   options.seed, slots, options.nodes, options.groups, options.replicas,
            split, network};
  }
  [[nodiscard]] int experts_per_rank() const {
    return (plan.experts + profile.ranks - 1) / profile.ranks;
  }
  [[nodiscard]] JudgedPlacement judge(const std::string& name, double plan_seconds,
                                      const Placement& placement, const CostModel& cost,
                                      const SplitSpec& split) const {
    JudgedPlacement row{name, plan_seconds,
                        score(judged, placement, cost, from ? &*from : nullptr, split)};
    if (network.ranks_per_node > 0) row.nodes = node_traffic(judged, placement, network, split);
    return row;
  }
};

/// Cuts the trace into what is planned on and what is judged on.
void split_trace(const Options& options, const Trace& whole, Problem& problem) {
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

Problem load_problem(const Options& options) {
  if (options.trace.empty()) throw usage_error(options.command + " needs --trace FILE");
  Problem problem;
  const Trace whole = read_trace(options.trace);
  split_trace(options, whole, problem);
  problem.profile = load_profile(options, whole, problem.context.profile);
  const int ranks = problem.profile.ranks;
  const auto slowdown = slow_down(options, problem.profile);
  if (options.spare_slots > 0) {
    problem.slots = problem.experts_per_rank() + options.spare_slots;
  }
  problem.network = node_network(options, problem.profile.model);
  if (!options.from.empty()) problem.from = read_placement_for(options.from, whole, ranks);
  const CostDecision chosen = decide_cost(options, problem.profile);
  const FitError fit = cost_model(options, problem.profile, problem.experts_per_rank()).fit_error();
  problem.context.profile += fmt::format(
      "; cost model {} ({}), off by {:.2f} % on average and {:.2f} % at most where it was "
      "measured",
      name_of(chosen.kind), chosen.why, fit.mean * 100, fit.worst * 100);
  if (options.token_split != "even") {
    problem.context.profile += fmt::format("; tokens of replicas split by {}", options.token_split);
  }
  problem.context.trace = options.trace;
  problem.context.ranks = ranks;
  problem.context.planned_steps = problem.plan.steps;
  problem.context.judged_steps = problem.judged.steps;
  problem.context.slowdown = slowdown;
  return problem;
}

/// --max-moves: the placement in force with a few swaps.
Replan mend(const Options& options, const Problem& problem, const CostModel& cost,
            const SplitSpec& split) {
  ReplanOptions how;
  how.max_moves = options.max_moves;
  how.horizon = options.horizon;
  how.move_seconds = move_seconds(options, problem.profile.model);
  how.split = split;
  return replan(*problem.from, problem.plan, cost, how);
}

}  // namespace

void plan_command(const Options& options) {
  if (!options.files.empty()) {
    throw usage_error(fmt::format("plan takes no file '{}': give --trace", options.files[0]));
  }
  if (options.output.empty()) throw usage_error("plan needs --output FILE");
  const Problem problem = load_problem(options);
  const CostModel cost = cost_model(options, problem.profile, problem.experts_per_rank());
  const TokenRule rule = token_rule(options.token_split, cost);
  const SplitSpec split = rule.spec();
  const double begin = wall_seconds();
  PlacementFile file;
  std::string mended;
  if (options.max_moves > 0) {
    const Replan found = mend(options, problem, cost, split);
    file.placement = found.placement;
    mended = replan_report(found, options);
  } else {
    file.placement = plan_by_name(options.strategy, problem.input(options, cost, split));
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
  write_placement(options.output, file, options.overwrite);
  const std::vector<JudgedPlacement> rows{
      problem.judge(options.max_moves > 0 ? file.placement.strategy : options.strategy, seconds,
                    file.placement, cost, split)};
  if (options.format == "table") fmt::print("{}", mended);
  fmt::print("{}", score_report(problem.context, rows, options.format));
  if (options.format == "table") fmt::print("# result: {}\n", options.output);
}

void score_command(const Options& options) {
  const Problem problem = load_problem(options);
  const CostModel cost = cost_model(options, problem.profile, problem.experts_per_rank());
  const TokenRule rule = token_rule(options.token_split, cost);
  const SplitSpec split = rule.spec();
  std::vector<std::string> strategies = options.strategies;
  if (strategies.empty() && options.files.empty()) strategies = options.placements;
  for (const std::string& name : strategies) require_known_name(name);
  std::vector<JudgedPlacement> rows;
  for (const std::string& name : strategies) {
    const double begin = wall_seconds();
    const Placement placement = plan_by_name(name, problem.input(options, cost, split));
    rows.push_back(problem.judge(name, wall_seconds() - begin, placement, cost, split));
    if (!options.ablation) continue;
    for (const AblationRow& row :
         ablation(problem.input(options, cost, split), problem.judged, find_strategy(name).plan)) {
      rows.push_back(
          {fmt::format("{}: {} loads, {} speed", name, row.per_step ? "per-step" : "mean",
                       row.measured_speed ? "measured" : "equal"),
           0, row.score});
    }
  }
  for (const std::string& path : options.files) {
    const Placement placement = plan_by_name("file:" + path, problem.input(options, cost, split));
    rows.push_back(
        problem.judge(std::filesystem::path(path).filename(), 0, placement, cost, split));
  }
  fmt::print("{}", score_report(problem.context, rows, options.format));
}

}  // namespace gembench
