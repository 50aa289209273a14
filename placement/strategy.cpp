#include "placement/strategy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "placement/error.hpp"
#include "placement/random.hpp"

namespace gembench {
namespace {

constexpr Strategy kStrategies[] = {
    {"linear", "experts in order, equal blocks per rank (vLLM's default)", plan_linear},
    {"round-robin", "expert e on rank e mod ranks (vLLM's round_robin)", plan_round_robin},
    {"random", "a seeded random deal per layer", plan_random},
    {"eplb", "balanced mean load, blind to speed (DeepSeek's EPLB without replicas)", plan_eplb},
    {"gem", "least predicted time over all steps with measured speeds (GEM, reconstructed)",
     plan_gem},
    {"gem+", "gem's objective searched harder: several starts, kicks, small layers exactly",
     plan_gem_plus},
    {"exact", "the optimum, up to 16 experts on 8 ranks", plan_exact},
};

Placement empty_for(const PlanInput& input, std::string_view name) {
  auto placement = empty_placement(input.trace.layers, input.cost.ranks(), input.trace.experts);
  placement.strategy = name;
  return placement;
}

}  // namespace

std::span<const Strategy> strategies() {
  return kStrategies;
}

const Strategy& find_strategy(std::string_view name) {
  std::string names;
  for (const auto& strategy : kStrategies) {
    if (strategy.name == name) return strategy;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", strategy.name);
  }
  throw usage_error(fmt::format("there is no strategy '{}'; choose one of {}", name, names));
}

Placement plan_linear(const PlanInput& input) {
  auto placement = empty_for(input, "linear");
  for (std::size_t i = 0; i < placement.slot_expert.size(); ++i)
    placement.slot_expert[i] = static_cast<std::int32_t>(i % std::size_t(placement.experts));
  return placement;
}

Placement plan_round_robin(const PlanInput& input) {
  auto placement = empty_for(input, "round-robin");
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int e = 0; e < placement.experts; ++e)
      placement.on_rank(layer, e % placement.ranks)[std::size_t(e / placement.ranks)] = e;
  return placement;
}

Placement plan_random(const PlanInput& input) {
  auto placement = empty_for(input, "random");
  std::vector<std::int32_t> order(static_cast<std::size_t>(placement.experts));
  for (int layer = 0; layer < placement.layers; ++layer) {
    Random random(fold(fold(input.seed, 0x4a11d), static_cast<std::uint64_t>(layer)));
    std::iota(order.begin(), order.end(), 0);
    random.shuffle(order);
    // The slots of a layer lie one after the other, rank by rank.
    std::copy(order.begin(), order.end(), placement.on_rank(layer, 0).begin());
  }
  return placement;
}

}  // namespace gembench
