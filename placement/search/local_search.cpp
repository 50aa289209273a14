#include "placement/search/local_search.hpp"

#include <cstdint>

#include "placement/search/swap_descent.hpp"

namespace gembench::inline search {
namespace {

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
                                  int perturbations, Random& random) {
  return improve_any(problem, assignment, isa, kLeastGain, perturbations, &random);
}

}  // namespace gembench::inline search
