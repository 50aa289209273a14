#include "placement/exact.hpp"

#include <fmt/format.h>

#include "placement/error.hpp"
#include "placement/gem_plus.hpp"
#include "placement/plan_layers.hpp"

namespace gembench {

Placement plan_exact(const PlanInput& input, const SearchOptions& options) {
  const auto experts = input.trace.experts;
  const auto ranks = input.cost.ranks();
  (void)empty_plan(input, "exact");  // says so when they do not divide
  if (experts > kMaxExactExperts || ranks > kMaxExactRanks)
    throw usage_error(fmt::format(
        "exact answers are limited to {} experts on {} ranks, this is {} on {}; use gem+",
        kMaxExactExperts, kMaxExactRanks, experts, ranks));
  return plan_layers(input, "exact", 0xe4ac7, options.threads,
                     [&](const LayerProblem& problem, const Random& random) {
                       return solve_exactly(problem, search_from_starts(problem, random, options));
                     });
}

Placement plan_exact(const PlanInput& input) {
  return plan_exact(input, SearchOptions{});
}

}  // namespace gembench
