#pragma once

#include "placement/cost/placement.hpp"
#include "placement/search/search_kernels.hpp"

namespace gembench::inline strategies {

struct PlanInput;

/// Exchanges experts of a placement while that lowers objective() + NodeTraffic::seconds over
/// the steps of `input`, bytes from counts or from the ids of a sample of tokens, every split taken
/// as even: pair of ranks
/// after pair, the best swap of each, until none helps or every pair was visited kNodeRounds times.
/// Nothing changes where a byte costs nothing. Depends on its arguments alone, whatever threads and
/// isa.
[[nodiscard]] Placement settle_on_nodes(const Placement& placement, const PlanInput& input,
                                        int threads, Isa isa);
inline constexpr int kNodeRounds = 4;

}  // namespace gembench::inline strategies
