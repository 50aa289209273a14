#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "placement/placement.hpp"
#include "placement/profile.hpp"
#include "placement/trace.hpp"

namespace gembench {

/// All a strategy may look at. `cost.ranks()` is the number of ranks to place on.
struct PlanInput {
  const Trace& trace;  ///< the planning steps, never the measured ones
  const CostModel& cost;
  std::uint64_t seed = 0;
};

/// One row of the strategy table: a name, a line for people and a pure function.
struct Strategy {
  std::string_view name;
  std::string_view summary;
  Placement (*plan)(const PlanInput&);
};

/// The table, in the order in which `--list` prints it.
[[nodiscard]] std::span<const Strategy> strategies();

/// Looks a name up; throws a usage error that lists the names there are.
[[nodiscard]] const Strategy& find_strategy(std::string_view name);

// The functions behind the table. All need experts divisible by ranks (usage error otherwise) and
// give every rank experts/ranks slots, each layer on its own.

/// Expert e on rank e / (experts/ranks): vLLM's `linear`.
[[nodiscard]] Placement plan_linear(const PlanInput& input);
/// Expert e on rank e % ranks: vLLM's `round_robin`.
[[nodiscard]] Placement plan_round_robin(const PlanInput& input);
/// A seeded random deal, different for every layer.
[[nodiscard]] Placement plan_random(const PlanInput& input);
/// Balanced packing of DeepSeek's EPLB without replicas: experts by falling mean load, each onto
/// the rank with the smallest sum that still has room. Knows neither speed nor time.
[[nodiscard]] Placement plan_eplb(const PlanInput& input);
/// GEM (arXiv:2605.19945) as reconstructed: minimises the sum over steps of the slowest rank's
/// predicted time; several starts (linear, speed-weighted LPT, greedy, seeded random), each
/// improved by pairwise swaps evaluated incrementally until none helps; the best result wins.
/// With more than 32 experts only greedy is improved, and what beats the result as it is. Initial
/// maps, number of starts and stop rule are ours: the paper does not give them.
[[nodiscard]] Placement plan_gem(const PlanInput& input);
/// Ours: the objective of GEM, searched harder (several starts, kicks; up to 8 experts exactly).
[[nodiscard]] Placement plan_gem_plus(const PlanInput& input);
/// The optimum of the same objective, up to 16 experts on 8 ranks (usage error beyond).
[[nodiscard]] Placement plan_exact(const PlanInput& input);

}  // namespace gembench
