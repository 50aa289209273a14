#pragma once

#include "placement/gem_search.hpp"
#include "placement/strategy.hpp"

namespace gembench {

/// How a search is run, never what it finds: any threads and any isa give the same placement.
struct SearchOptions {
  int threads = 0;  ///< layers planned at once; 0 = one per CPU
  Isa isa = best_isa();
};

[[nodiscard]] Placement plan_gem(const PlanInput& input, const SearchOptions& options);

}  // namespace gembench
