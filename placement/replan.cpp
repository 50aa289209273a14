#include "placement/replan.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "placement/error.hpp"
#include "placement/objective.hpp"
#include "placement/parallel.hpp"
#include "placement/replicas.hpp"
#include "placement/swap_search.hpp"

namespace gembench {
namespace {

/// One layer's placement as the search wants it, and what it found.
struct LayerReplan {
  Trace trace;
  SplitLayer split;
  Assignment assignment;  // [replica] rank; spare slots behind
  Placement placement;    // of this layer alone
  std::vector<ExpertSwap> swaps;
  double before = 0, after = 0;  // s, all steps together
};

LayerReplan cut_out(const Placement& from, const Trace& trace, int layer) {
  LayerReplan one{one_layer(trace, layer), {}, {}, from, {}, 0, 0};
  auto& placement = one.placement;
  placement.layers = 1;
  placement.slot_expert.clear();
  std::vector<std::vector<std::int32_t>> hosts(static_cast<std::size_t>(from.experts));
  std::vector<std::int32_t> empty;  // [spare slot] rank
  for (int rank = 0; rank < from.ranks; ++rank)
    for (auto e : from.on_rank(layer, rank)) {
      placement.slot_expert.push_back(e);
      (e < 0 ? empty : hosts[static_cast<std::size_t>(e)]).push_back(rank);
    }
  std::vector<std::int32_t> copies;
  for (const auto& ranks : hosts) copies.push_back(static_cast<std::int32_t>(ranks.size()));
  one.split = split_layer(one.trace, copies);
  std::vector<std::size_t> used(hosts.size(), 0);
  for (auto e : one.split.expert) {
    const auto expert = static_cast<std::size_t>(e);
    one.assignment.push_back(hosts[expert][used[expert]++]);
  }
  one.assignment.insert(one.assignment.end(), empty.begin(), empty.end());
  return one;
}

/// Exchanges two experts, or an expert and an empty slot, in the layer's placement.
ExpertSwap exchange(Placement& placement, int rank, std::int32_t expert, int other_rank,
                    std::int32_t other) {
  if (expert < 0) return exchange(placement, other_rank, other, rank, expert);
  const auto here = placement.on_rank(0, rank);
  const auto there = placement.on_rank(0, other_rank);
  const auto slot = std::ranges::find(here, expert);
  const auto other_slot = std::ranges::find(there, other);
  std::swap(*slot, *other_slot);
  return {0,
          rank,
          static_cast<int>(slot - here.begin()),
          other_rank,
          static_cast<int>(other_slot - there.begin()),
          expert,
          other,
          0,
          0};
}

template <class Units>
void search(const LayerProblem& problem, const CostModel& cost, const ReplanOptions& options,
            LayerReplan& one) {
  const bool even = options.split.rule == SplitRule::even || problem.replica_of.empty();
  const auto steps = static_cast<double>(one.trace.steps);
  const auto expert_of = [&](std::uint32_t member) {
    return member < problem.real ? one.split.expert[member] : -1;
  };
  SwapSearch<Units> search(problem, one.assignment, options.isa);
  auto now = one.before;
  for (int left = options.max_moves; left > 0;) {
    const auto found = search.steepest(left == 1);
    if (!found) return;
    auto next = one.placement;
    auto swap =
        exchange(next, static_cast<int>(found->a), expert_of(search.expert(found->a, found->i)),
                 static_cast<int>(found->b), expert_of(search.expert(found->b, found->j)));
    const auto then = even ? now - found->gain : objective(one.trace, next, cost, options.split);
    swap.gain = (now - then) / steps;
    swap.cost = swap.moves() * options.move_seconds;
    if (swap.gain <= 0 || swap.gain * options.horizon < swap.cost) return;
    search.make(*found);
    one.placement = std::move(next);
    one.swaps.push_back(swap);
    now = then;
    left -= swap.moves();
  }
}

LayerReplan replan_layer(const Placement& from, const Trace& trace, int layer,
                         const CostModel& cost, const ReplanOptions& options) {
  auto one = cut_out(from, trace, layer);
  one.before = one.after = objective(one.trace, one.placement, cost, options.split);
  const SearchCosts costs(cost, one.split.trace, from.slots);
  LayerProblem problem(one.split.trace, 0, costs, from.slots);
  if (one.split.trace.experts > from.experts) problem.replica_of = one.split.expert;
  if (costs.narrow())
    search<std::int16_t>(problem, cost, options, one);
  else
    search<std::int32_t>(problem, cost, options, one);
  if (!one.swaps.empty()) one.after = objective(one.trace, one.placement, cost, options.split);
  for (auto& swap : one.swaps) swap.layer = layer;
  return one;
}

}  // namespace

double Replan::cost() const {
  return std::accumulate(swaps.begin(), swaps.end(), 0.0,
                         [](double sum, const ExpertSwap& swap) { return sum + swap.cost; });
}

Replan replan(const Placement& from, const Trace& trace, const CostModel& cost,
              const ReplanOptions& options) {
  validate(from);
  require_same_shape(trace, from);
  require_same_ranks(from, cost);
  if (trace.steps < 1) throw usage_error("the trace has no steps to judge a placement on");
  std::vector<LayerReplan> layers(static_cast<std::size_t>(from.layers));
  parallel_for(from.layers, options.threads, [&](int layer) {
    auto one = replan_layer(from, trace, layer, cost, options);
    one.trace = {};  // only what is needed below is kept
    one.split = {};
    layers[static_cast<std::size_t>(layer)] = std::move(one);
  });
  Replan result;
  result.placement = from;
  for (int layer = 0; layer < from.layers; ++layer) {
    const auto& one = layers[static_cast<std::size_t>(layer)];
    for (int rank = 0; rank < from.ranks; ++rank)
      std::ranges::copy(one.placement.on_rank(0, rank),
                        result.placement.on_rank(layer, rank).begin());
    result.swaps.insert(result.swaps.end(), one.swaps.begin(), one.swaps.end());
    result.before += one.before / trace.steps;
    result.after += one.after / trace.steps;
  }
  if (!result.swaps.empty() && !from.strategy.starts_with("replan:"))
    result.placement.strategy = "replan:" + from.strategy;
  return result;
}

}  // namespace gembench
