#include "placement/strategies/replan.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/base/parallel.hpp"
#include "placement/cost/objective.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/swap_descent.hpp"

namespace gembench::inline strategies {
namespace {

// A move must save more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-12;

/// One layer and its result.
struct LayerReplan {
  Placement placement;  // of this layer alone
  std::vector<ExpertSwap> swaps;
  double before = 0, after = 0;  // s, all steps together
};

template <class Units>
void search(const LayerCut& cut, const LayerProblem& problem, const CostModel& cost,
            const ReplanOptions& options, LayerReplan& one) {
  const auto steps = static_cast<double>(cut.steps.steps);
  SwapSearch<Units> search(problem, cut.assigned, options.isa);
  auto now = one.before;
  for (int left = options.max_moves; left > 0;) {
    const auto found = search.steepest(left == 1);
    if (!found || !search.take(*found)) return;
    const auto x = search.expert(found->b, found->j);  // they have changed places
    const auto y = search.expert(found->a, found->i);
    auto next = one.placement;
    ExpertSwap swap{exchange(next, static_cast<int>(found->a), cut.expert_of(x),
                             static_cast<int>(found->b), cut.expert_of(y))};
    // Recomputed: searches count in whole units, and the replica that gets a remainder depends on
    // the ranks.
    const auto then = objective(cut.steps, next, cost, options.split, problem.pulse);
    swap.gain = (now - then) / steps;
    swap.cost = swap.moves() * options.move_seconds;
    if (!(then < now * (1 - kLeastGain)) || swap.gain * options.horizon < swap.cost) return;
    one.placement = std::move(next);
    one.swaps.push_back(swap);
    now = then;
    left -= swap.moves();
  }
}

LayerReplan replan_layer(const Placement& from, const Trace& trace, int layer,
                         const CostModel& cost, const ReplanOptions& options,
                         const WatchedLayers& watched) {
  const LayerCut cut(from, trace, layer);
  LayerReplan one{cut.placement, {}, 0, 0};
  const auto pulse = watched.pulse(layer);
  one.before = one.after = objective(cut.steps, cut.placement, cost, options.split, pulse);
  const SearchCosts costs(cost, cut.split.trace, from.slots);
  auto problem = cut.problem(costs);
  problem.pulse = pulse;
  if (costs.narrow())
    search<std::int16_t>(cut, problem, cost, options, one);
  else
    search<std::int32_t>(cut, problem, cost, options, one);
  if (!one.swaps.empty())
    one.after = objective(cut.steps, one.placement, cost, options.split, pulse);
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
  require_no_repeats(from);
  require_same_shape(trace, from);
  require_same_ranks(from, cost);
  if (trace.steps < 1) throw usage_error("the trace has no steps to judge a placement on");
  std::vector<LayerReplan> layers(static_cast<std::size_t>(from.layers));
  WatchedLayers watched(options.watch, from.layers);
  parallel_for(from.layers, options.threads, [&](int layer) {
    watched.at(layer);
    layers[static_cast<std::size_t>(layer)] =
        replan_layer(from, trace, layer, cost, options, watched);
    watched.finished(layer);
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

}  // namespace gembench::inline strategies
