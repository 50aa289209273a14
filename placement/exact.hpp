#pragma once

#include "placement/gem.hpp"

namespace gembench {

inline constexpr int kMaxExactExperts = 16;
inline constexpr int kMaxExactRanks = 8;

/// The best assignment there is, by branch and bound: experts by falling load, each on every rank
/// in turn; what is placed and the least that must still come bound a branch from below. `start`
/// must be sound; the better it is, the more is cut off. Identical ranks are tried once.
[[nodiscard]] Assignment solve_exactly(const LayerProblem& problem, Assignment start);

[[nodiscard]] Placement plan_exact(const PlanInput& input, const SearchOptions& options);

}  // namespace gembench
