#include "placement/strategies/strategy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/strategies/relabel.hpp"

namespace gembench::inline strategies {
namespace {

constexpr Takes kFilling{.spare_slots = true, .replicas = true, .fills = true, .split = true};
constexpr Takes kFillingNodes{
    .spare_slots = true, .replicas = true, .fills = true, .split = true, .nodes = true};
constexpr Takes kSearching{.seed = true, .spare_slots = true, .replicas = true, .split = true};
constexpr Takes kSearchingNodes{
    .seed = true, .spare_slots = true, .replicas = true, .split = true, .node_cost = true};

constexpr Strategy kStrategies[] = {
    {"linear", "experts in order, equal blocks per rank (vLLM's default)", plan_linear},
    {"round-robin", "expert e on rank e mod ranks (vLLM's round_robin)", plan_round_robin},
    {"random", "a seeded random deal per layer", plan_random, {.seed = true}},
    {"eplb", "balanced mean load, blind to speed (DeepSeek's EPLB, global)", plan_eplb, kFilling},
    {"eplb-hier", "the same, expert groups kept within nodes (DeepSeek's EPLB, hierarchical)",
     plan_eplb_hier, kFillingNodes},
    {"vibe",
     "mean load by speed, blind to time (ViBE, reconstructed)",
     plan_vibe,
     {.spare_slots = true}},
    {"flashlb", "mean, variance and covariance of loads, blind to speed (after FlashLB)",
     plan_flashlb, kFilling},
    {"gem", "least predicted time over all steps with measured speeds (GEM, reconstructed)",
     plan_gem, kSearching},
    {"gem+", "gem's objective searched harder: several starts, kicks, small layers exactly",
     plan_gem_plus, kSearchingNodes},
    {"gem+cv", "gem+ with a share of the mean load's time, cross-validated: for short recordings",
     plan_gem_plus_cv, kSearchingNodes},
    {"exact",
     "the optimum, up to 16 experts on 8 ranks",
     plan_exact,
     {.seed = true, .spare_slots = true}},
};

constexpr std::string_view kFile = "file:";
constexpr std::string_view kRelabel = "relabel:";

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

std::span<const Strategy> strategy_table() {
  return kStrategies;
}

const Strategy& find_strategy(std::string_view name) {
  std::string names;
  for (const auto& strategy : kStrategies) {
    if (strategy.name == name) return strategy;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", strategy.name);
  }
  throw usage_error(fmt::format(
      "there is no strategy '{}'; choose one of {}, file:PATH or relabel:NAME", name, names));
}

Placement empty_plan(const PlanInput& input, std::string_view name) {
  auto placement =
      empty_placement(input.trace.layers, input.cost.ranks(), input.trace.experts, input.slots);
  placement.strategy = name;
  const auto spare = std::int64_t{placement.ranks} * placement.slots - placement.experts;
  if (input.replicas < 0 || input.replicas > spare)
    throw usage_error(
        fmt::format("{} replicas a layer need as many spare slots, {} ranks with {} slots have {} "
                    "beside {} experts; allow more spare slots a rank, or fewer replicas",
                    input.replicas, placement.ranks, placement.slots, spare, placement.experts));
  return placement;
}

void require_known_name(std::string_view name) {
  static_cast<void>(takes_of(name));
}

Takes takes_of(std::string_view name) {
  if (name.starts_with(kRelabel)) return takes_of(name.substr(kRelabel.size()));
  return name.starts_with(kFile) ? Takes{.split = true} : find_strategy(name).takes;
}

int replicas_to_make(const PlanInput& input, const Placement& empty) {
  if (input.replicas > 0 || input.slots == 0) return input.replicas;
  return static_cast<int>(std::int64_t{empty.ranks} * empty.slots - empty.experts);
}

bool looks_at_loads(std::string_view name) {
  if (name.starts_with(kRelabel)) return true;
  return !name.starts_with(kFile) && name != "linear" && name != "round-robin" && name != "random";
}

std::string_view file_in(std::string_view name) {
  while (name.starts_with(kRelabel)) name.remove_prefix(kRelabel.size());
  return name.starts_with(kFile) ? name.substr(kFile.size()) : std::string_view();
}

Placement plan_by_name(std::string_view name, const PlanInput& input) {
  if (name.starts_with(kRelabel)) {
    const auto plain = plan_by_name(name.substr(kRelabel.size()), input);
    auto placement = relabel(plain, input.trace, input.cost, input.watch);
    placement.strategy = name;
    return placement;
  }
  if (!name.starts_with(kFile)) return find_strategy(name).plan(input);
  const auto path = name.substr(kFile.size());
  auto placement = read_placement_for(path, input.trace, input.cost.ranks());
  placement.strategy = name;
  return placement;
}

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
