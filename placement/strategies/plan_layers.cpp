#include "placement/strategies/plan_layers.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "placement/base/parallel.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/cost/objective.hpp"
#include "placement/strategies/replicas.hpp"

namespace gembench::inline strategies {
namespace {

/// Fills a layer: experts, by which the assignment goes, `expert` [index] names; spare ones are
/// left out.
void deal(const std::vector<std::int32_t>& expert, const Assignment& assignment,
          Placement& placement, int layer) {
  std::vector<std::size_t> used(static_cast<std::size_t>(placement.ranks));
  for (std::size_t i = 0; i < expert.size(); ++i) {
    const auto rank = assignment[i];
    placement.on_rank(layer, rank)[used[static_cast<std::size_t>(rank)]++] = expert[i];
  }
}

/// A way to replicate, placed.
struct Candidate {
  std::vector<std::int32_t> copies;
  Placement placement;
  double seconds = 0;
};

/// Plans the layer with these copies; whether no replicas had to share a rank.
bool place(const PlanInput& input, const Trace& layer, const Random& random, const PlanLayer& plan,
           const std::function<void()>& pulse, Candidate& candidate) {
  auto& placement = candidate.placement;
  placement = empty_placement(1, input.cost.ranks(), layer.experts, input.slots);
  const auto split = split_layer(layer, candidate.copies);
  const SearchCosts costs(input.cost, split.trace, placement.slots);
  LayerProblem problem(split.trace, 0, costs, placement.slots);
  if (split.trace.experts > layer.experts) problem.replica_of = split.expert;
  problem.pulse = pulse;
  const auto assignment = plan(problem, random);
  for (std::size_t e = 0; e < split.expert.size(); ++e)
    if (holds_replica(problem, assignment, e, assignment[e])) return false;
  deal(split.expert, assignment, placement, 0);
  if (input.all_replicas) add_cold_replicas(expert_sums(layer), 0, input.replicas, placement);
  candidate.seconds = objective(layer, placement, input.cost, input.split, pulse);
  return true;
}

/// One layer of `input` with at most input.replicas replicas; the objective decides how many are
/// used. For none, a quarter, half, three quarters and all of them, distributed by mean and by
/// tail, `quick` places the replicas as if every split were even (which swaps can be judged by);
/// each result is judged by input.split, the best is planned again by `thorough`, and the best of
/// all is returned: [rank][slot] in a placement of one layer. All ours, after the literature's
/// habit of replicating what is hot. With input.all_replicas, replicas that do not lower the
/// objective are copies of cold experts. `first`: quarters of the replicas to begin with.
/// `pulse`: as in LayerProblem.
Placement plan_replicated_layer(const PlanInput& input, int layer, const Random& random,
                                const PlanLayer& quick, const PlanLayer& thorough, int first,
                                const std::function<void()>& pulse) {
  const auto trace = one_layer(input.trace, layer);
  std::vector<Candidate> tried;
  const auto try_quarters = [&](int quarters) {
    for (auto by : {ReplicaLoad::mean, ReplicaLoad::tail}) {
      const auto count = static_cast<int>(std::int64_t{input.replicas} * quarters / kAllQuarters);
      Candidate candidate{count_copies(trace, count, input.cost.ranks(), by), {}, 0};
      const bool new_one = std::none_of(tried.begin(), tried.end(), [&](const Candidate& other) {
        return other.copies == candidate.copies;
      });
      if (new_one && place(input, trace, random, quick, pulse, candidate))
        tried.push_back(std::move(candidate));
    }
  };
  for (int quarters = first; quarters <= kAllQuarters; ++quarters) try_quarters(quarters);
  // Fewer, where so many found no ranks of their own; none always do.
  for (int quarters = first - 1; tried.empty() && quarters >= 0; --quarters) try_quarters(quarters);
  auto& best = *std::min_element(tried.begin(), tried.end(), [](const auto& a, const auto& b) {
    return a.seconds < b.seconds;
  });
  Candidate again{best.copies, {}, 0};
  const bool placed = place(input, trace, random, thorough, pulse, again);
  return placed && again.seconds < best.seconds ? again.placement : best.placement;
}

}  // namespace

Placement plan_layers(const PlanInput& input, std::string_view strategy, std::uint64_t salt,
                      int threads, const PlanLayer& plan_layer, const PlanLayer& quick, int first) {
  const auto& trace = input.trace;
  auto placement = empty_plan(input, strategy);
  const SearchCosts costs(input.cost, trace, placement.slots);
  std::vector<std::int32_t> experts(static_cast<std::size_t>(trace.experts));
  std::iota(experts.begin(), experts.end(), 0);
  WatchedLayers watched(input.watch, trace.layers);
  parallel_for(trace.layers, threads, [&](int layer) {
    watched.at(layer);
    const Random random(fold(fold(input.seed, salt), static_cast<std::uint64_t>(layer)));
    if (input.replicas > 0) {
      const auto planned = plan_replicated_layer(input, layer, random, quick ? quick : plan_layer,
                                                 plan_layer, first, watched.pulse(layer));
      for (int rank = 0; rank < placement.ranks; ++rank)
        std::ranges::copy(planned.on_rank(0, rank), placement.on_rank(layer, rank).begin());
    } else {
      LayerProblem problem(trace, layer, costs, placement.slots);
      problem.pulse = watched.pulse(layer);
      deal(experts, plan_layer(problem, random), placement, layer);
    }
    watched.finished(layer);
  });
  return placement;
}

}  // namespace gembench::inline strategies
