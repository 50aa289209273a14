#include "placement/per_step/step_system.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/per_step/threshold_planner.hpp"

namespace gembench::inline per_step {
namespace {

CostModel token_counts(const StepInput& input) {
  return CostModel(equal_ranks(input.cost.ranks(), 1));
}

/// LPLB, by what `cost` says: replicas stay, their tokens are split anew.
PreparedSystem split_replicas(const StepInput& input, const CostModel& cost) {
  const auto split = std::make_shared<TokenSplit>(input.placement, SplitRule::least, &cost);
  const auto& placement = input.placement;
  const auto cells =
      static_cast<std::size_t>(placement.ranks) * static_cast<std::size_t>(placement.slots);
  return {placement, [split, experts = placement.slot_expert, cells, ranks = placement.ranks](
                         std::span<const std::int32_t> tokens, int layer, StepPlan& plan) {
            const auto own =
                std::span(experts).subspan(static_cast<std::size_t>(layer) * cells, cells);
            plan.expert.assign(own.begin(), own.end());
            plan.tokens.resize(cells);
            plan.fetched.assign(static_cast<std::size_t>(ranks), 0);
            split->slot_loads(tokens, layer, plan.tokens);
          }};
}

PreparedSystem ultraep(const StepInput& input) {
  return plan_by_threshold(input, token_counts(input));
}

double slowest(const CostModel& cost, std::span<const std::int64_t> tokens) {
  thread_local std::vector<double> seconds;
  seconds.resize(static_cast<std::size_t>(cost.ranks()));
  rank_seconds(cost, {}, tokens, seconds);
  return *std::ranges::max_element(seconds);
}

/// A system that plans with a rank's total only, on `cost`. With cost model `per-expert` that is as
/// if tokens were spread evenly over a rank's experts, so fetched experts seem to take no time of
/// their own: of its plan, the one by tokens, and the even split of what stays, the fastest is
/// taken.
template <class Prepare>
PreparedSystem by_speed(const StepInput& input, const Prepare& prepare) {
  PreparedSystem timed = prepare(input, input.cost);
  if (input.cost.kind() == CostKind::sum) return timed;
  const auto even = std::make_shared<TokenSplit>(timed.base);
  return {timed.base, [cost = input.cost, by_time = timed.plan,
                       by_tokens = prepare(input, token_counts(input)).plan, even,
                       experts = timed.base.slot_expert](std::span<const std::int32_t> tokens,
                                                         int layer, StepPlan& plan) {
            thread_local StepPlan other;
            by_time(tokens, layer, plan);
            double least = slowest(cost, plan.tokens);
            const auto take_faster = [&] {
              const double seconds = slowest(cost, other.tokens);
              if (seconds >= least) return;
              least = seconds;
              std::swap(plan, other);
            };
            by_tokens(tokens, layer, other);
            take_faster();
            const auto cells = plan.expert.size();
            const auto own =
                std::span(experts).subspan(static_cast<std::size_t>(layer) * cells, cells);
            other.expert.assign(own.begin(), own.end());
            other.tokens.resize(cells);
            other.fetched.assign(plan.fetched.size(), 0);
            even->slot_loads(tokens, layer, other.tokens);
            take_faster();
          }};
}

PreparedSystem ultraep_speed(const StepInput& input) {
  return by_speed(input, plan_by_threshold);
}

PreparedSystem lplb(const StepInput& input) {
  return split_replicas(input, token_counts(input));
}

PreparedSystem lplb_speed(const StepInput& input) {
  return by_speed(input, split_replicas);
}

constexpr StepSystem kSystems[] = {
    {"ultraep",
     "fetches replicas of hot experts until no rank is above a threshold of tokens "
     "(UltraEP, reconstructed)",
     true, ultraep},
    {"ultraep-speed", "the same with a threshold of time, by the measured speeds (ours)", true,
     ultraep_speed},
    {"lplb", "splits the tokens of replicas so that the fullest rank has fewest (DeepSeek's LPLB)",
     false, lplb},
    {"lplb-speed", "the same for the time of the slowest rank, by the measured speeds (ours)",
     false, lplb_speed},
};

}  // namespace

bool StepSystem::applies_to(const Placement& placement) const {
  const auto slots =
      static_cast<std::int64_t>(placement.ranks) * placement.slots * placement.layers;
  const auto experts = static_cast<std::int64_t>(placement.experts) * placement.layers;
  return fetches ? slots > experts : count_duplicates(placement) > 0;
}

std::span<const StepSystem> step_systems() {
  return kSystems;
}

const StepSystem& find_step_system(std::string_view name) {
  for (const auto& system : kSystems) {
    if (system.name == name) return system;
  }
  const auto names = names_of_rows(kSystems);
  throw usage_error(fmt::format("there is no per-step system '{}'{}; choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
}

}  // namespace gembench::inline per_step
