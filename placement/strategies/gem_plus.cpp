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

constexpr std::size_t kPerturbedFromEverywhere = 64;

/// Random starts in addition to greedy and packing by means. Ours: small layers need this many to
/// get within 0.1 % of the optimum; large ones gain more from perturbations.
int extra_random_starts(std::size_t experts) {
  return experts <= 16 ? 12 : experts <= 64 ? 1 : 0;
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
  std::vector<Assignment> starts = {greedy(problem, options.isa), speed_weighted_lpt(problem)};
  std::vector<std::int32_t> order(problem.experts);
  std::iota(order.begin(), order.end(), 0);
  for (int i = 0; i < extra_random_starts(problem.experts); ++i) {
    random.shuffle(order);
    starts.push_back(blocks(order, problem.slots));
  }
  // Small layers: perturbations from everywhere. Large ones: from the best only, they have
  // perturbations to spare.
  const bool all = problem.experts <= kPerturbedFromEverywhere;
  const Assignment* best = nullptr;
  double least = 0;
  for (auto& start : starts) {
    const auto seconds = improve_with_perturbations(problem, start, options.isa,
                                                    all ? options.perturbations : 0, random);
    if (best && seconds >= least) continue;
    best = &start;
    least = seconds;
  }
  auto result = *best;
  if (!all) improve_with_perturbations(problem, result, options.isa, options.perturbations, random);
  return result;
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
