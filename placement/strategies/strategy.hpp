#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "placement/base/plan_watch.hpp"
#include "placement/cost/node_network.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline strategies {

/// The input of a strategy. `cost.ranks()` is the number of ranks to place on.
struct PlanInput {
  const Trace& trace;  ///< the planning steps, never the measured ones
  const CostModel& cost;
  std::uint64_t seed = 0;
  int slots = 0;   ///< per rank; 0 = experts/ranks, rounded up. More leave room for replicas
  int nodes = 1;   ///< eplb-hier: ranks are spread over nodes in equal blocks
  int groups = 0;  ///< eplb-hier: experts come in this many equal blocks; 0 = one per node (ours)
  /// Most replicas beyond the first of an expert, a layer in all; slots must have room for them. 0:
  /// none, except that strategies without another use for spare slots (eplb, flashlb) fill them if
  /// `slots` is given.
  int replicas = 0;
  SplitSpec split = {};      ///< how replicas share tokens; the number of replicas is judged by it
  NodeNetwork network = {};  ///< gem+: cost of tokens that cross between nodes
  /// Make exactly `replicas`, whether they pay or not: engines load full tables only.
  bool all_replicas = false;
  PlanWatch watch = {};  ///< receives the progress of planning; may end it
  int threads = 0;       ///< layers planned at once; 0 = one per CPU. Any number plans the same

  /// The same input with other steps and speeds.
  [[nodiscard]] PlanInput with(const Trace& other_trace, const CostModel& other_cost) const {
    return {other_trace, other_cost, seed,    slots,        nodes, groups,
            replicas,    split,      network, all_replicas, watch, threads};
  }
};

/// The options that a strategy uses, besides loads. The command line rejects options
/// that none of the named strategies uses.
struct Takes {
  bool speeds = false;  ///< else it places as if ranks were equally fast
  bool seed = false;
  bool spare_slots = false;
  bool replicas = false;
  bool fills = false;      ///< spare slots with replicas, where none were asked for
  bool split = false;      ///< its placements may have replicas: how they share tokens
  bool node_cost = false;  ///< PlanInput::network
  bool nodes = false;      ///< PlanInput::nodes and groups
};

/// One row of the strategy table: a name, a description, a pure function and the options it uses.
struct Strategy {
  std::string_view name;
  std::string_view summary;
  Placement (*plan)(const PlanInput&);
  Takes takes = {};
};

/// The table, in the order in which `gembench list` prints it.
[[nodiscard]] std::span<const Strategy> strategy_table();

/// Looks a name up; throws a usage error that lists the known names.
[[nodiscard]] const Strategy& find_strategy(std::string_view name);

/// An all-empty placement for `input`, with the strategy's name. Usage errors as in
/// empty_placement, and for more replicas than spare slots.
[[nodiscard]] Placement empty_plan(const PlanInput& input, std::string_view name);

/// Replicas that eplb and flashlb make: those requested, else as many as fit if `slots` was given,
/// else none.
[[nodiscard]] int replicas_to_make(const PlanInput& input, const Placement& empty);

// The functions behind the table; each layer is planned separately. With a remainder of experts,
// some ranks hold fewer; strategies without replicas leave spare slots empty.

/// Blocks of consecutive experts, the first ranks one longer if they do not divide: vLLM's
/// `linear`.
[[nodiscard]] Placement plan_linear(const PlanInput& input);
/// Expert e on rank e % ranks: vLLM's `round_robin`.
[[nodiscard]] Placement plan_round_robin(const PlanInput& input);
/// Experts at random, by seed, different for every layer.
[[nodiscard]] Placement plan_random(const PlanInput& input);
/// DeepSeek's EPLB, `global` policy (eplb.hpp). Ignores speed and load over time.
[[nodiscard]] Placement plan_eplb(const PlanInput& input);
/// DeepSeek's EPLB, `hierarchical` policy (eplb.hpp): groups stay within a node.
[[nodiscard]] Placement plan_eplb_hier(const PlanInput& input);
/// Mean load by speed, as ViBE (arXiv:2606.00735) is described: experts by falling mean load, each
/// to the rank with room that would finish soonest by the profile. No replicas; ignores load over
/// time. Reconstructed from the abstract; the greedy order is ours.
[[nodiscard]] Placement plan_vibe(const PlanInput& input);
/// After FlashLB of vllm-ascend (https://github.com/vllm-project/vllm-ascend, eplb/core/policy):
/// mean, variance and covariance of the per-step loads, replicas, ignores speed (flashlb.hpp).
[[nodiscard]] Placement plan_flashlb(const PlanInput& input);
/// GEM (arXiv:2605.19945) as reconstructed: minimises the sum over steps of the slowest rank's
/// predicted time; several starts (linear, speed-weighted LPT, greedy, seeded random), each
/// improved by pairwise swaps evaluated incrementally until none helps; the best result wins.
/// With more than 32 experts only greedy is improved, and what beats the result as it is. Initial
/// maps, number of starts and stop rule are ours: the paper does not give them. So are replicas
/// (replicas.hpp), here and in gem+.
[[nodiscard]] Placement plan_gem(const PlanInput& input);
/// Ours: a harder search for GEM's objective (several starts, perturbations; up to 8 experts
/// exactly).
[[nodiscard]] Placement plan_gem_plus(const PlanInput& input);
/// The optimum of the same objective, up to 16 experts on 8 ranks (usage error beyond, and
/// where a layer is not solved within kMaxExactLooks of branch_and_bound.hpp).
[[nodiscard]] Placement plan_exact(const PlanInput& input);

}  // namespace gembench::inline strategies
