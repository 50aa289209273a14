#include "placement/strategies/gem_plus.hpp"

#include <numeric>
#include <utility>
#include <vector>

#include "placement/search/local_search.hpp"
#include "placement/search/starts.hpp"
#include "placement/strategies/branch_and_bound.hpp"
#include "placement/strategies/node_settling.hpp"
#include "placement/strategies/plan_layers.hpp"

namespace gembench::inline strategies {
namespace {

// Up to here a layer is solved exactly, in well under a millisecond.
constexpr std::size_t kExactExperts = 8;

/// Share of the objective that a swap must save in a large layer. Ours.
constexpr double kThoroughGain = 1e-5;

/// Random starts of a small layer in addition to greedy and packing by means. Ours: very small ones
/// need this many to get within 0.1 % of the optimum.
int extra_random_starts(std::size_t experts) {
  return experts <= 16 ? 12 : 1;
}

/// Searches from the starts; finds the optimum of layers of up to kExactExperts.
Assignment plan_layer_plus(const LayerProblem& problem, const Random& random,
                           const SearchOptions& options) {
  auto found = search_from_starts(problem, random, options);
  if (problem.experts <= kExactExperts && problem.replica_of.empty())
    found = solve_exactly(problem, std::move(found)).assignment;
  return found;
}

}  // namespace

Assignment search_from_starts(const LayerProblem& problem, Random random,
                              const SearchOptions& options) {
  const bool large = problem.experts > kSmallLayer;
  Assignment best;
  auto least = improved_greedy(problem, best, options.isa, options.perturbations, random,
                               large ? kThoroughGain : kLeastGain);
  if (large) return best;  // they gain more from perturbations than from other starts
  std::vector<Assignment> starts = {speed_weighted_lpt(problem)};
  std::vector<std::int32_t> order(problem.experts);
  std::iota(order.begin(), order.end(), 0);
  for (int i = 0; i < extra_random_starts(problem.experts); ++i) {
    random.shuffle(order);
    starts.push_back(blocks(order, problem.slots));
  }
  for (auto& start : starts) {
    const auto seconds =
        improve_with_perturbations(problem, start, options.isa, options.perturbations, random);
    if (seconds >= least) continue;
    best = start;
    least = seconds;
  }
  return best;
}

Placement plan_gem_plus(const PlanInput& input, const SearchOptions& options) {
  auto quick = options;
  quick.perturbations = 0;
  const auto planner = [](const SearchOptions& with) {
    return [&with](const LayerProblem& problem, const Random& random) {
      return plan_layer_plus(problem, random, with);
    };
  };
  const auto placement =
      plan_layers(input, "gem+", 0x6e3b1, options.threads, planner(options), planner(quick));
  return settle_on_nodes(placement, input, options.threads, options.isa);
}

Placement plan_gem_plus(const PlanInput& input) {
  return plan_gem_plus(input, {.threads = input.threads});
}

}  // namespace gembench::inline strategies
