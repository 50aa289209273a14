#include "placement/plan_layers.hpp"

#include <vector>

#include "placement/parallel.hpp"

namespace gembench {

Placement plan_layers(const PlanInput& input, std::string_view strategy, std::uint64_t salt,
                      int threads, const PlanLayer& plan_layer) {
  const auto& trace = input.trace;
  auto placement = empty_plan(input, strategy);
  const SearchCosts costs(input.cost, trace, placement.slots);
  parallel_for(trace.layers, threads, [&](int layer) {
    const LayerProblem problem(trace, layer, costs, placement.slots);
    const Random random(fold(fold(input.seed, salt), static_cast<std::uint64_t>(layer)));
    const auto assignment = plan_layer(problem, random);
    std::vector<std::size_t> used(static_cast<std::size_t>(placement.ranks));
    for (int e = 0; e < trace.experts; ++e) {
      const auto rank = assignment[static_cast<std::size_t>(e)];
      placement.on_rank(layer, rank)[used[static_cast<std::size_t>(rank)]++] = e;
    }
  });
  return placement;
}

}  // namespace gembench
