#pragma once

#include <cstdint>

#include "placement/search/layer_problem.hpp"

namespace gembench::inline strategies {

/// Most bounds of one step that `exact` may compute in a layer: some minutes on one core. Counted,
/// not timed, so that it gives up at the same point on every machine.
inline constexpr std::int64_t kMaxExactLooks = std::int64_t{1} << 36;

/// The best assignment found, and how far it may be from the optimum.
struct ExactResult {
  Assignment assignment;
  double gap = 0;  ///< largest relative distance above the optimum; 0: it is the optimum
};

/// The best assignment, by branch and bound: experts by falling load, each on every rank in turn;
/// the placed experts and the least possible rest bound a branch from below. `start` must be valid;
/// the better it is, the more branches are cut off. Identical ranks are tried once. After `looks`
/// bounds of a step it ends with the best assignment so far.
[[nodiscard]] ExactResult solve_exactly(const LayerProblem& problem, Assignment start,
                                        std::int64_t looks = kMaxExactLooks);

}  // namespace gembench::inline strategies
