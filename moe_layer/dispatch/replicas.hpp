#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"

namespace gembench::inline dispatch {

/// Usage error for a placement with replicas whose physical slots, rank * slots + slot, do not fit
/// 16 bits.
void require_physical_slots(const Placement& placement);

/// Chooses which replica computes each assignment of a rank, on the host, from counts alone. After
/// that, a pair names a physical slot, rank * slots + slot, instead of an expert.
///
/// Rules that need the tokens of all ranks (needs_all_tokens): all ranks exchange their counts,
/// compute the same split of the sum, and use their part of it in the order of ranks, so that the
/// sum is split exactly. Other rules: every rank splits its own tokens, nothing is exchanged.
class ReplicaChoice {
 public:
  /// Usage error as require_physical_slots.
  ReplicaChoice(const Placement& placement, const SplitSpec& splitting);

  /// Whether choose() needs the counts of all ranks.
  [[nodiscard]] bool needs_all_counts() const { return needs_all_tokens(rule_); }
  /// [physical_slot], of every layer.
  [[nodiscard]] const std::vector<Location>& locations() const { return locations_; }

  /// Replaces experts by physical slots in `ids`, [token][k] of one layer on `rank`. `counts`:
  /// tokens by expert of this rank, [expert]; or of all ranks, [rank][expert]. Does not allocate.
  void choose(int layer, int rank, std::span<const std::int32_t> counts,
              std::span<std::uint16_t> ids);

 private:
  /// Where the next token of an expert goes.
  struct Dealt {
    std::uint32_t at = 0;   ///< index in physical_slots_
    std::int64_t left = 0;  ///< tokens this physical slot still takes
  };
  void skip(Dealt& next, std::int64_t tokens) const;

  SplitRule rule_;
  TokenSplit split_;
  std::size_t experts_, physical_slots_of_layer_;
  std::vector<Location> locations_;
  std::vector<std::uint32_t> first_;           // [layer][expert + 1] into physical_slots_
  std::vector<std::uint16_t> physical_slots_;  // replicas of an expert, ascending
  // Scratch of choose().
  std::vector<std::int32_t> sums_;   // [expert]
  std::vector<std::int64_t> quota_;  // [physical_slot]
  std::vector<Dealt> next_;          // [expert]
};

}  // namespace gembench::inline dispatch
