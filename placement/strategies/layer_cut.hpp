#pragma once

#include <cstdint>

#include "placement/search/layer_problem.hpp"
#include "placement/strategies/replicas.hpp"

namespace gembench::inline strategies {

/// One layer of an existing placement as a search problem.
struct LayerCut {
  LayerCut(const Placement& from, const Trace& trace, int layer);

  Trace steps;          ///< this layer of the trace
  SplitLayer split;     ///< its replicas as experts of their own
  Assignment assigned;  ///< [replica] rank; spare slots behind
  Placement placement;  ///< this layer of the placement

  /// The layer as a problem with these costs, which were made for split.trace.
  [[nodiscard]] LayerProblem problem(const SearchCosts& costs) const;
  /// The expert of a search's member; -1 for a spare slot.
  [[nodiscard]] std::int32_t expert_of(std::size_t member) const {
    return member < split.expert.size() ? split.expert[member] : -1;
  }
};

/// A swap of two slots; `expert` is never empty.
struct Exchanged {
  int rank = 0, slot = 0;              ///< where `expert` was and `other` moves
  int other_rank = 0, other_slot = 0;  ///< the other way round
  std::int32_t expert = -1;
  std::int32_t other = -1;  ///< -1 = the slot was empty
};

/// Swaps two experts, or an expert and an empty slot (-1), of a placement of one layer. Both must
/// exist.
Exchanged exchange(Placement& placement, int rank, std::int32_t expert, int other_rank,
                   std::int32_t other);

}  // namespace gembench::inline strategies
