#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/plan_problem.hpp"
#include "harness/report/sensitivity_report.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline commands {
namespace {

/// Evenly spaced between 1 and 1 + spread; which rank is slow comes from the seed.
std::vector<double> even_slowdowns(int ranks, double spread, std::uint64_t seed) {
  std::vector<double> slowdowns;
  for (int rank = 0; rank < ranks; ++rank)
    slowdowns.push_back(1 + spread * rank / std::max(1, ranks - 1));
  Random(fold(seed, 0x59ead)).shuffle(slowdowns);
  return slowdowns;
}

/// Power-law loads of one draw.
Trace drawn_loads(const SensitivityCommand& command, double alpha, std::uint64_t seed) {
  LoadOptions loads = command;
  loads.preset = "power-law";
  loads.alpha = alpha;
  return synthetic_trace(
      loads, synthetic_spec(model_of(command), command.steps, tokens_per_step(loads), seed, 0));
}

/// Predicted seconds of a step by strategy.
std::vector<double> step_means(const Problem& problem, const ProblemOptions& options,
                               const std::vector<std::string>& strategies) {
  const Costs costs = problem.costs(options);
  std::vector<double> seconds;
  for (const std::string& name : strategies)
    seconds.push_back(problem.plan_and_judge(name, options, costs).score.step_mean);
  return seconds;
}

}  // namespace

void execute(const SensitivityCommand& command) {
  const ModelShape model = model_of(command);
  if (*command.ranks > model.experts)
    throw usage_error(fmt::format("{} ranks are more than the {} experts: lower --ranks",
                                  *command.ranks, model.experts));
  const auto strategies = command.strategies.size();
  SensitivityContext context;
  context.draws = command.draws;
  std::vector<SensitivityRow> rows;
  for (const double alpha : command.alphas) {
    // [spread][strategy][draw]
    std::vector<std::vector<std::vector<double>>> seconds(
        command.spreads.size(), std::vector<std::vector<double>>(strategies));
    for (int draw = 0; draw < command.draws; ++draw) {
      ProblemOptions options = command;
      options.seed = command.seed + static_cast<std::uint64_t>(draw);
      const Trace loads = drawn_loads(command, alpha, options.seed);
      for (std::size_t s = 0; s < command.spreads.size(); ++s) {
        options.slowdown = even_slowdowns(*command.ranks, command.spreads[s], options.seed);
        const Problem problem = make_problem(SensitivityCommand::kName, options, loads, {});
        if (context.score.ranks == 0) context.score = problem.context;
        const auto found = step_means(problem, options, command.strategies);
        for (std::size_t i = 0; i < strategies; ++i) seconds[s][i].push_back(found[i]);
      }
    }
    for (std::size_t s = 0; s < command.spreads.size(); ++s)
      for (std::size_t i = 0; i < strategies; ++i)
        rows.push_back(sensitivity_row(command.strategies[i], alpha, command.spreads[s],
                                       seconds[s][i], i == 0 ? nullptr : &seconds[s][0]));
  }
  context.score.trace =
      fmt::format("power-law, {} steps of {} tokens, {} layers, {} experts, top-k {}",
                  command.steps, tokens_per_step(command), model.layers, model.experts, model.topk);
  print_result("{}", sensitivity_report(context, rows, command.format));
}

}  // namespace gembench::inline commands
