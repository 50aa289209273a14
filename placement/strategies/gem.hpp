#pragma once

#include "placement/search/search_kernels.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {

/// Settings of a search. Any `threads` and any `isa` give the same placement.
struct SearchOptions {
  int threads = 0;  ///< layers planned at once; 0 = one per CPU
  Isa isa = best_isa();
  int perturbations = 20;  ///< gem+ only; of every start
};

[[nodiscard]] Placement plan_gem(const PlanInput& input, const SearchOptions& options);

}  // namespace gembench::inline strategies
