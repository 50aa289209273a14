#include "placement/search/local_search.hpp"

#include <cstdint>

#include "placement/search/starts.hpp"
#include "placement/search/swap_descent.hpp"

namespace gembench::inline search {
namespace {

/// Steps on which a large layer with many more is planned first.
constexpr std::size_t kFewSteps = 256;

/// Perturbations by the search of the problem's width of units.
template <class Units>
double improve_as(const LayerProblem& problem, Assignment& assignment, Isa isa, double least_gain,
                  int perturbations, Random* random) {
  separate_replicas(problem, assignment);
  SwapSearch<Units> search(problem, assignment, isa, kMostSwaps, least_gain);
  search.descend();
  for (int perturbation = 0; perturbation < perturbations; ++perturbation)
    search.try_perturbation(*random);
  assignment = search.assignment();
  return search.value();
}

double improve_any(const LayerProblem& problem, Assignment& assignment, Isa isa, double least_gain,
                   int perturbations, Random* random) {
  const auto improve_in =
      problem.costs.narrow() ? improve_as<std::int16_t> : improve_as<std::int32_t>;
  return improve_in(problem, assignment, isa, least_gain, perturbations, random);
}

}  // namespace

double improve(const LayerProblem& problem, Assignment& assignment, Isa isa, double least_gain) {
  return improve_any(problem, assignment, isa, least_gain, 0, nullptr);
}

double improve_with_perturbations(const LayerProblem& problem, Assignment& assignment, Isa isa,
                                  int perturbations, Random& random, double least_gain) {
  return improve_any(problem, assignment, isa, least_gain, perturbations, &random);
}

double improved_greedy(const LayerProblem& problem, Assignment& assignment, Isa isa,
                       int perturbations, Random& random, double least_gain) {
  const auto n = problem.steps / kFewSteps;
  if (problem.experts <= kSmallLayer || n < 2) {
    assignment = greedy(problem, isa);
    return improve_with_perturbations(problem, assignment, isa, perturbations, random, least_gain);
  }
  const auto few = every_nth_step(problem, n);
  assignment = greedy(few, isa);
  improve_with_perturbations(few, assignment, isa, perturbations / 2, random, least_gain);
  return improve_with_perturbations(problem, assignment, isa, perturbations / 4, random,
                                    least_gain);
}

}  // namespace gembench::inline search
