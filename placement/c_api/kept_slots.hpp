#pragma once

#include <cstdint>
#include <span>

#include "placement/cost/placement.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline c_api {

// Weights are only copied for experts that a rank has not got, so a new map goes easy on the one in
// use. Maps have equal layers, ranks, slots and experts; that in use may lack experts.

/// Exchanges rows of `plan` between ranks of equal speed on one of `nodes` (equal blocks of ranks)
/// so that more experts are where `previous` has them. Greedy, the largest overlap first.
void match_ranks(const Placement& previous, const CostModel& cost, int nodes, Placement& plan);

/// Gives every expert that stays on its rank the slot it has there; the others fill what is left,
/// in order. vllm-ascend refuses maps without this, vLLM copies weights for nothing.
void keep_slots(const Placement& previous, Placement& plan);

/// The previous map with every slot filled and no expert missing, which changes as little as
/// possible: missing experts, heaviest first, go to the rank with an empty slot that would finish
/// soonest; where there is none, the replica with the least load makes room. Then empty slots get
/// replicas of cold experts. `sums` [layer][expert]. Needs ranks * slots >= experts.
[[nodiscard]] Placement repaired(Placement previous, std::span<const std::int64_t> sums,
                                 const CostModel& cost);

}  // namespace gembench::inline c_api
