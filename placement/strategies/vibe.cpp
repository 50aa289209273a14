#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "placement/cost/expert_sums.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {

Placement plan_vibe(const PlanInput& input) {
  auto placement = empty_plan(input, "vibe");
  const auto sums = expert_sums(input.trace, input.threads);
  require_speeds(input.cost);
  const auto cost = over_steps(input.cost, input.trace.steps);
  const auto experts = static_cast<std::size_t>(placement.experts);
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  std::vector<std::size_t> order(experts);
  WatchedLayers watched(input.watch, placement.layers);
  for (int layer = 0; layer < placement.layers; ++layer) {
    const auto load = std::span(sums).subspan(static_cast<std::size_t>(layer) * experts, experts);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
    std::vector<std::int64_t> sum(ranks, 0);
    std::vector<int> used(ranks, 0);
    for (auto e : order) {
      auto best = ranks;
      double soonest = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        if (used[rank] == placement.slots) continue;
        const auto seconds = cost.seconds(static_cast<int>(rank), sum[rank] + load[e]);
        // Where the profile is flat many ranks finish together: the one with the least load.
        if (best != ranks && (seconds > soonest || (seconds == soonest && sum[rank] >= sum[best])))
          continue;
        best = rank;
        soonest = seconds;
      }
      placement.on_rank(layer, static_cast<int>(best))[static_cast<std::size_t>(used[best]++)] =
          static_cast<std::int32_t>(e);
      sum[best] += load[e];
    }
    watched.finished(layer);
  }
  return placement;
}

}  // namespace gembench::inline strategies
