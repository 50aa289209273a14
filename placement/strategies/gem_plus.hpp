#pragma once

#include "placement/base/random.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/strategies/gem.hpp"

namespace gembench::inline strategies {

/// The best of several starts, each improved with perturbations; large layers from greedy only. All
/// of it ours.
[[nodiscard]] Assignment search_from_starts(const LayerProblem& problem, Random random,
                                            const SearchOptions& options);

[[nodiscard]] Placement plan_gem_plus(const PlanInput& input, const SearchOptions& options);

}  // namespace gembench::inline strategies
