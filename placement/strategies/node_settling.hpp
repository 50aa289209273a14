#pragma once

#include "placement/cost/placement.hpp"
#include "placement/search/search_kernels.hpp"

namespace gembench::inline strategies {

struct PlanInput;

/// Swaps experts of a placement while that lowers objective() + NodeTraffic::seconds over the steps
/// of `input`, with bytes from counts or from the ids of a sample of tokens, assuming even splits.
/// For one pair of ranks after another it makes the best swap, until none helps or every pair was
/// visited kNodeRounds times. Changes nothing if bytes cost nothing. Depends only on its arguments,
/// for any threads and isa.
[[nodiscard]] Placement settle_on_nodes(const Placement& placement, const PlanInput& input,
                                        int threads, Isa isa);
inline constexpr int kNodeRounds = 4;

}  // namespace gembench::inline strategies
