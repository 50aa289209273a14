#pragma once

#include <cstdint>

#include "placement/search/layer_problem.hpp"

namespace gembench::inline strategies {

/// Bounds of one step that `exact` may compute in a layer: some minutes on one core. Counted, not
/// timed, so that it gives up at the same place everywhere.
inline constexpr std::int64_t kMaxExactLooks = std::int64_t{1} << 36;

/// The best assignment found, and how good it is known to be.
struct ExactResult {
  Assignment assignment;
  double gap = 0;  ///< most that it may lie above the optimum, relative; 0: it is the optimum
};

/// The best assignment there is, by branch and bound: experts by falling load, each on every rank
/// in turn; what is placed and the least that must still come bound a branch from below. `start`
/// must be sound; the better it is, the more is cut off. Identical ranks are tried once. After
/// `looks` bounds of a step it ends with the best so far.
[[nodiscard]] ExactResult solve_exactly(const LayerProblem& problem, Assignment start,
                                        std::int64_t looks = kMaxExactLooks);

}  // namespace gembench::inline strategies
