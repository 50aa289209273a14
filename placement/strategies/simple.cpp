// The strategies that ignore loads and speeds: linear, round-robin, random.

#include <algorithm>
#include <numeric>
#include <vector>

#include "placement/base/random.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {
namespace {

/// Deals [expert] in blocks that differ by one expert at most.
void deal_blocks(const std::vector<std::int32_t>& order, int layer, Placement& placement) {
  const auto each = placement.experts / placement.ranks;
  const auto longer = placement.experts % placement.ranks;
  auto next = order.begin();
  for (int rank = 0; rank < placement.ranks; ++rank) {
    const auto count = each + (rank < longer);
    std::copy_n(next, count, placement.on_rank(layer, rank).begin());
    next += count;
  }
}

}  // namespace

Placement plan_linear(const PlanInput& input) {
  auto placement = empty_plan(input, "linear");
  std::vector<std::int32_t> order(static_cast<std::size_t>(placement.experts));
  std::iota(order.begin(), order.end(), 0);
  for (int layer = 0; layer < placement.layers; ++layer) deal_blocks(order, layer, placement);
  return placement;
}

Placement plan_round_robin(const PlanInput& input) {
  auto placement = empty_plan(input, "round-robin");
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int e = 0; e < placement.experts; ++e)
      placement.on_rank(layer, e % placement.ranks)[std::size_t(e / placement.ranks)] = e;
  return placement;
}

Placement plan_random(const PlanInput& input) {
  auto placement = empty_plan(input, "random");
  std::vector<std::int32_t> order(static_cast<std::size_t>(placement.experts));
  for (int layer = 0; layer < placement.layers; ++layer) {
    Random random(fold(fold(input.seed, 0x4a11d), static_cast<std::uint64_t>(layer)));
    std::iota(order.begin(), order.end(), 0);
    random.shuffle(order);
    deal_blocks(order, layer, placement);
  }
  return placement;
}

}  // namespace gembench::inline strategies
