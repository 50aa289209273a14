#include "placement/strategies/exact.hpp"

#include <fmt/format.h>

#include <utility>

#include "placement/base/error.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/plan_layers.hpp"

namespace gembench::inline strategies {

void require_exact_size(int experts, int ranks) {
  if (experts > kMaxExactExperts || ranks > kMaxExactRanks)
    throw usage_error(fmt::format(
        "exact answers are limited to {} experts on {} ranks, this is {} on {}; use gem+",
        kMaxExactExperts, kMaxExactRanks, experts, ranks));
}

Placement plan_exact(const PlanInput& input, const SearchOptions& options, std::int64_t looks) {
  const auto experts = input.trace.experts;
  const auto ranks = input.cost.ranks();
  (void)empty_plan(input, "exact");  // says so when they do not divide
  require_exact_size(experts, ranks);
  return plan_layers(
      input, "exact", 0xe4ac7, options.threads,
      [&](const LayerProblem& problem, const Random& random) {
        auto found = solve_exactly(problem, search_from_starts(problem, random, options), looks);
        if (found.gap > 0)
          throw usage_error(
              fmt::format("exact gave up on a layer after {:.2g} bounds, {:.2g} % from a proof; "
                          "use gem+, or plan on fewer steps",
                          static_cast<double>(looks), 100 * found.gap));
        return std::move(found.assignment);
      });
}

Placement plan_exact(const PlanInput& input) {
  return plan_exact(input, {.threads = input.threads});
}

}  // namespace gembench::inline strategies
