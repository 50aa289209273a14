#include <algorithm>
#include <numeric>
#include <vector>

#include "placement/strategy.hpp"

namespace gembench {

Placement plan_eplb(const PlanInput& input) {
  const auto& trace = input.trace;
  auto placement = empty_placement(trace.layers, input.cost.ranks(), trace.experts);
  placement.strategy = "eplb";
  const auto experts = static_cast<std::size_t>(trace.experts);
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  std::vector<std::int64_t> total(experts);  // over all steps: the order of means without rounding
  std::vector<std::size_t> order(experts);
  for (int layer = 0; layer < trace.layers; ++layer) {
    std::fill(total.begin(), total.end(), 0);
    for (int step = 0; step < trace.steps; ++step) {
      const auto loads = trace.loads(step, layer);
      for (std::size_t e = 0; e < experts; ++e) total[e] += loads[e];
    }
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return total[a] > total[b]; });
    std::vector<std::int64_t> sum(ranks, 0);
    std::vector<int> used(ranks, 0);
    for (auto e : order) {
      auto best = ranks;
      for (std::size_t rank = 0; rank < ranks; ++rank)
        if (used[rank] < placement.slots && (best == ranks || sum[rank] < sum[best])) best = rank;
      const auto slot = static_cast<std::size_t>(used[best]++);
      placement.on_rank(layer, static_cast<int>(best))[slot] = static_cast<std::int32_t>(e);
      sum[best] += total[e];
    }
  }
  return placement;
}

}  // namespace gembench
