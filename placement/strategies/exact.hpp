#pragma once

#include <cstdint>

#include "placement/strategies/branch_and_bound.hpp"
#include "placement/strategies/gem.hpp"

namespace gembench::inline strategies {

inline constexpr int kMaxExactExperts = 16;
inline constexpr int kMaxExactRanks = 8;
/// Usage error beyond them.
void require_exact_size(int experts, int ranks);

/// Usage error when a layer needs more than `looks`.
[[nodiscard]] Placement plan_exact(const PlanInput& input, const SearchOptions& options,
                                   std::int64_t looks = kMaxExactLooks);

}  // namespace gembench::inline strategies
