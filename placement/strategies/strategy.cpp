#include "placement/strategies/strategy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"

namespace gembench::inline strategies {
namespace {

constexpr Takes kFilling{.spare_slots = true, .replicas = true, .fills = true, .split = true};
constexpr Takes kFillingNodes{
    .spare_slots = true, .replicas = true, .fills = true, .split = true, .nodes = true};
constexpr Takes kSearching{
    .speeds = true, .seed = true, .spare_slots = true, .replicas = true, .split = true};
constexpr Takes kSearchingNodes{.speeds = true,
                                .seed = true,
                                .spare_slots = true,
                                .replicas = true,
                                .split = true,
                                .node_cost = true};

constexpr Strategy kStrategies[] = {
    {"linear", "experts in order, equal blocks per rank (vLLM's default)", plan_linear},
    {"round-robin", "expert e on rank e mod ranks (vLLM's round_robin)", plan_round_robin},
    {"random", "experts at random, by seed, layer by layer", plan_random, {.seed = true}},
    {"eplb", "balances the mean load, ignores speed (DeepSeek's EPLB, global)", plan_eplb,
     kFilling},
    {"eplb-hier", "the same, keeps expert groups within nodes (DeepSeek's EPLB, hierarchical)",
     plan_eplb_hier, kFillingNodes},
    {"vibe",
     "balances mean load by speed, ignores load over time (ViBE, reconstructed)",
     plan_vibe,
     {.speeds = true, .spare_slots = true}},
    {"flashlb", "uses mean, variance and covariance of loads, ignores speed (after FlashLB)",
     plan_flashlb, kFilling},
    {"gem", "minimises predicted time over all steps with measured speeds (GEM, reconstructed)",
     plan_gem, kSearching},
    {"gem+",
     "searches harder for gem's objective: several starts, perturbations, small layers exactly",
     plan_gem_plus, kSearchingNodes},
    {"exact",
     "the optimum, up to 16 experts on 8 ranks",
     plan_exact,
     {.speeds = true, .seed = true, .spare_slots = true}},
};

}  // namespace

std::span<const Strategy> strategy_table() {
  return kStrategies;
}

const Strategy& find_strategy(std::string_view name) {
  for (const auto& strategy : kStrategies) {
    if (strategy.name == name) return strategy;
  }
  const auto names = names_of_rows(kStrategies);
  throw usage_error(fmt::format("there is no strategy '{}'{}; choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
}

Placement empty_plan(const PlanInput& input, std::string_view name) {
  auto placement =
      empty_placement(input.trace.layers, input.cost.ranks(), input.trace.experts, input.slots);
  placement.strategy = name;
  const auto spare = std::int64_t{placement.ranks} * placement.slots - placement.experts;
  if (input.replicas < 0 || input.replicas > spare)
    throw usage_error(
        fmt::format("{} replicas per layer need as many spare slots, {} ranks with {} slots have "
                    "{} besides {} experts; allow more spare slots per rank, or fewer replicas",
                    input.replicas, placement.ranks, placement.slots, spare, placement.experts));
  return placement;
}

int replicas_to_make(const PlanInput& input, const Placement& empty) {
  if (input.replicas > 0 || input.slots == 0) return input.replicas;
  return static_cast<int>(std::int64_t{empty.ranks} * empty.slots - empty.experts);
}

}  // namespace gembench::inline strategies
