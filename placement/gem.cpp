#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "placement/error.hpp"
#include "placement/gem_search.hpp"
#include "placement/random.hpp"
#include "placement/strategy.hpp"

namespace gembench {
namespace {

/// Random restarts per layer. Ours: small layers are cheap and have few, deep minima; large ones
/// have many that are nearly as good, and a restart costs up to a second.
int random_starts(int experts) {
  return experts <= 16 ? 16 : experts <= 64 ? 6 : 2;
}

/// Largest load any rank can get in any step: what the table of costs has to hold.
std::int64_t max_rank_load(const Trace& trace, int slots) {
  std::int64_t most = 0;
  std::vector<std::int32_t> sorted;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      sorted.assign(loads.begin(), loads.end());
      std::nth_element(sorted.begin(), sorted.begin() + (slots - 1), sorted.end(),
                       std::greater<>());
      most =
          std::max(most, std::accumulate(sorted.begin(), sorted.begin() + slots, std::int64_t{0}));
    }
  return most;
}

/// Deals experts in the given order, one full rank after the other.
Assignment blocks(const std::vector<std::int32_t>& order, int slots) {
  Assignment assignment(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    assignment[static_cast<std::size_t>(order[i])] =
        static_cast<std::int32_t>(i / static_cast<std::size_t>(slots));
  return assignment;
}

Assignment plan_layer(const LayerSearch& search, int experts, int slots, Random random) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  std::vector<Assignment> starts = {blocks(order, slots), search.speed_weighted_lpt(),
                                    search.greedy()};
  for (int i = 0; i < random_starts(experts); ++i) {
    random.shuffle(order);
    starts.push_back(blocks(order, slots));
  }
  const Assignment* best = nullptr;
  double least = 0;
  for (auto& start : starts) {
    const auto seconds = search.improve(start);
    if (best && seconds >= least) continue;
    best = &start;
    least = seconds;
  }
  return *best;
}

}  // namespace

Placement plan_gem(const PlanInput& input) {
  const auto& trace = input.trace;
  auto placement = empty_placement(trace.layers, input.cost.ranks(), trace.experts);
  placement.strategy = "gem";
  const auto max_load = max_rank_load(trace, placement.slots);
  if (max_load > std::numeric_limits<std::int32_t>::max())
    throw usage_error(
        fmt::format("a rank could get {} tokens in one step, more than gem can count; "
                    "make steps smaller",
                    max_load));
  const CostTable table(input.cost, max_load);
  std::vector<std::size_t> used(static_cast<std::size_t>(placement.ranks));
  for (int layer = 0; layer < trace.layers; ++layer) {
    const LayerSearch search(trace, layer, table);
    const Random random(fold(fold(input.seed, 0x6e3), static_cast<std::uint64_t>(layer)));
    const auto assignment = plan_layer(search, trace.experts, placement.slots, random);
    std::fill(used.begin(), used.end(), std::size_t{0});
    for (int e = 0; e < trace.experts; ++e) {
      const auto rank = assignment[static_cast<std::size_t>(e)];
      placement.on_rank(layer, rank)[used[static_cast<std::size_t>(rank)]++] = e;
    }
  }
  return placement;
}

}  // namespace gembench
