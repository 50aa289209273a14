#include "placement/strategies/plan_layers.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "placement/base/parallel.hpp"
#include "placement/strategies/replicas.hpp"

namespace gembench::inline strategies {

void deal(const std::vector<std::int32_t>& expert, const Assignment& assignment,
          Placement& placement, int layer) {
  std::vector<std::size_t> used(static_cast<std::size_t>(placement.ranks));
  for (std::size_t i = 0; i < expert.size(); ++i) {
    const auto rank = assignment[i];
    placement.on_rank(layer, rank)[used[static_cast<std::size_t>(rank)]++] = expert[i];
  }
}

Placement plan_layers(const PlanInput& input, std::string_view strategy, std::uint64_t salt,
                      int threads, const PlanLayer& plan_layer, const PlanLayer& quick) {
  const auto& trace = input.trace;
  auto placement = empty_plan(input, strategy);
  const SearchCosts costs(input.cost, trace, placement.slots);
  std::vector<std::int32_t> experts(static_cast<std::size_t>(trace.experts));
  std::iota(experts.begin(), experts.end(), 0);
  WatchedLayers watched(input.watch, trace.layers);
  parallel_for(trace.layers, threads, [&](int layer) {
    watched.at(layer);
    const Random random(fold(fold(input.seed, salt), static_cast<std::uint64_t>(layer)));
    if (input.replicas > 0) {
      const auto planned = plan_replicated_layer(input, layer, random, quick ? quick : plan_layer,
                                                 plan_layer, watched.pulse(layer));
      for (int rank = 0; rank < placement.ranks; ++rank)
        std::ranges::copy(planned.on_rank(0, rank), placement.on_rank(layer, rank).begin());
    } else {
      LayerProblem problem(trace, layer, costs, placement.slots);
      problem.pulse = watched.pulse(layer);
      deal(experts, plan_layer(problem, random), placement, layer);
    }
    watched.finished(layer);
  });
  return placement;
}

}  // namespace gembench::inline strategies
