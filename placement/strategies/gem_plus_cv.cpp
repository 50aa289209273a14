#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "placement/cost/expert_sums.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/score.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/node_settling.hpp"
#include "placement/strategies/plan_layers.hpp"

namespace gembench::inline strategies {
namespace {

constexpr double kShares[] = {0.2, 0.5, 0.8, 1.0};
constexpr auto kParts = 2 * (std::size(kShares) + 1);  // both halves, and without a share
constexpr std::size_t kBlocks = 8;  // of a half; steps next to each other are alike

/// The trace with its mean step behind the last.
Trace with_mean_step(const Trace& trace) {
  auto longer = counts_only(trace);
  ++longer.steps;
  for (int layer = 0; layer < trace.layers; ++layer) {
    std::vector<std::int64_t> sum(static_cast<std::size_t>(trace.experts), 0);
    for (int step = 0; step < trace.steps; ++step) {
      const auto row = trace.loads(step, layer);
      std::transform(row.begin(), row.end(), sum.begin(), sum.begin(), std::plus<>());
    }
    for (auto tokens : sum)
      longer.tokens.push_back(static_cast<std::int32_t>((tokens + trace.steps / 2) / trace.steps));
  }
  return longer;
}

/// Appends what a placement takes in each of a few blocks of steps, all layers together.
void judge_blocks(const Trace& trace, const Placement& placement, const PlanInput& input,
                  std::vector<double>& blocks) {
  const WatchedLayers watched(input.watch, trace.layers);
  const auto seconds = predicted_layer_seconds(trace, placement, input.cost, input.split,
                                               watched.pulse(0));  // [step][layer]
  const auto steps = static_cast<std::size_t>(trace.steps);
  const auto count = std::min(kBlocks, steps);
  const auto first = blocks.size();
  blocks.resize(first + count, 0);
  for (std::size_t i = 0; i < seconds.size(); ++i)
    blocks[first + i / static_cast<std::size_t>(trace.layers) * count / steps] += seconds[i];
}

}  // namespace

Placement plan_blended(const PlanInput& input, double share, const SearchOptions& options) {
  if (share <= 0) return plan_gem_plus(input, options);
  const auto trace = with_mean_step(input.trace);
  const auto placement =
      plan_layers(input.with(trace, input.cost), "gem+", kGemPlusSalt, options.threads,
                  [&](const LayerProblem& problem, const Random& random) {
                    auto weighted = problem;
                    const auto steps = problem.steps - 1;
                    std::fill_n(weighted.weight.begin(), steps, 1 - share);
                    weighted.weight[steps] = share * static_cast<double>(steps);
                    return plan_layer_plus(weighted, random, options);
                  });
  return settle_on_nodes(placement, input, options.threads, options.isa);
}

double cross_validated_share(const PlanInput& input, const SearchOptions& options) {
  (void)empty_plan(input, "gem+cv");  // refuse what is unsound before it is cut up
  (void)expert_sums(input.trace);
  if (input.trace.steps < 4) return 0;
  const auto halves = hold_out(input.trace, 0.5);
  auto quick = options;
  quick.kicks = 0;
  int part = 0;
  const auto judged = [&](double share) {
    std::vector<double> blocks;
    for (const auto& [plan, other] :
         {std::pair(&halves.plan, &halves.judged), std::pair(&halves.judged, &halves.plan)}) {
      auto half = input.with(*plan, input.cost);
      half.network = {};
      ++part;
      if (input.watch)
        half.watch =
            [&, name = fmt::format("cross-validation {} of {}", part, kParts)](PlanStage stage) {
              stage.part = name;
              input.watch(stage);
            };
      judge_blocks(*other, plan_blended(half, share, quick), half, blocks);
    }
    return blocks;
  };
  const auto plain = judged(0);
  const auto count = static_cast<double>(plain.size());
  double best = 0;
  double most = 0;
  for (auto share : kShares) {
    auto gain = judged(share);
    std::transform(plain.begin(), plain.end(), gain.begin(), gain.begin(), std::minus<>());
    const auto mean = std::accumulate(gain.begin(), gain.end(), 0.0) / count;
    double square = 0;
    for (auto g : gain) square += (g - mean) * (g - mean);
    const auto error = std::sqrt(square / (count - 1) / count);
    if (mean <= error || mean <= most) continue;
    best = share;
    most = mean;
  }
  return best;
}

Placement plan_gem_plus_cv(const PlanInput& input, const SearchOptions& options) {
  auto placement = plan_blended(input, cross_validated_share(input, options), options);
  placement.strategy = "gem+cv";
  return placement;
}

Placement plan_gem_plus_cv(const PlanInput& input) {
  return plan_gem_plus_cv(input, SearchOptions{});
}

}  // namespace gembench::inline strategies
