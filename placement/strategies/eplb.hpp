#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"

namespace gembench::inline strategies {

/// As many replicas as there are slots for.
inline constexpr int kFillSlots = -1;

/// The constraints of EPLB.
struct EplbShape {
  int experts = 0;
  int ranks = 0;
  int slots = 0;   ///< per rank; ranks * slots >= experts
  int nodes = 1;   ///< equal blocks of ranks; 1 = the `global` policy
  int groups = 1;  ///< equal blocks of experts that stay on one node
  /// Most beyond the first of an expert, an equal share a node.
  int replicas = kFillSlots;
};

/// One layer of DeepSeek's EPLB (https://github.com/deepseek-ai/EPLB, README and eplb.py), from
/// `load` [expert] (any unit, >= 0): groups are packed onto nodes; within a node the expert with
/// the largest load per replica gets another one until the slots are used; replicas are packed onto
/// ranks. Packing: by falling load, each to the lightest pack that has room; one item a pack stays
/// in order, as there. Writes `slot_expert` [rank][slot], -1 = empty.
///
/// It differs from the original because a rank holds an expert at most once here: an expert gets no
/// more replicas than its node has ranks (slots may then stay empty), and a replica goes to the
/// lightest rank that has room and does not hold the expert; where there is none, it trades places
/// with one. Ties: the lower expert, the lower rank. Usage error for loads below 0, and shapes that
/// do not divide: experts by groups, groups and ranks by nodes.
void eplb_layer(const EplbShape& shape, std::span<const std::int64_t> load,
                std::span<std::int32_t> slot_expert);

/// All layers at once; `sums` is [layer][expert], as expert_sums makes it. `layers` from its size.
[[nodiscard]] Placement eplb_from_sums(const EplbShape& shape, std::span<const std::int64_t> sums);

}  // namespace gembench::inline strategies
