#pragma once

#include "placement/base/random.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/search_kernels.hpp"
#include "placement/search/swap_descent.hpp"

namespace gembench::inline search {

/// Swaps two experts of two ranks wherever that lowers the objective by more than `least_gain`,
/// relative to that of the start, until no swap does. Returns the objective; never above that of
/// the start, unless replicas there had to be separated first.
double improve(const LayerProblem& problem, Assignment& assignment, Isa isa,
               double least_gain = kLeastGain);

/// improve(), then `perturbations` times: a few random swaps that involve critical ranks, improved
/// again and kept if that is better (iterated local search; ours). Returns the objective.
double improve_with_perturbations(const LayerProblem& problem, Assignment& assignment, Isa isa,
                                  int perturbations, Random& random,
                                  double least_gain = kLeastGain);

/// Experts up to which time does not matter. Ours.
inline constexpr std::size_t kSmallLayer = 64;

/// Greedy, improved with perturbations. A larger layer with many steps is planned on every n-th
/// step first, with half of the perturbations; a quarter of them is left for all steps (ours).
/// Returns the objective.
double improved_greedy(const LayerProblem& problem, Assignment& assignment, Isa isa,
                       int perturbations, Random& random, double least_gain = kLeastGain);

}  // namespace gembench::inline search
