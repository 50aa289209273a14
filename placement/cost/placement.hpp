#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench::inline cost {

/// Which expert sits in which slot of which rank, for every layer. A plain value; a strategy makes
/// it, `validate` judges it. An expert may sit on several ranks (replicas; how its tokens are split
/// is in token_split.hpp), never twice on one; a slot may be empty.
struct Placement {
  int layers = 0;
  int ranks = 0;
  int slots = 0;    ///< per rank and layer, the same everywhere
  int experts = 0;  ///< per layer
  /// [layer][rank][slot] -> expert, -1 = empty.
  std::vector<std::int32_t> slot_expert;
  std::string strategy;  ///< name of what made it

  [[nodiscard]] std::span<const std::int32_t> on_rank(int layer, int rank) const;
  [[nodiscard]] std::span<std::int32_t> on_rank(int layer, int rank);
};

/// An all-empty placement. `slots` per rank and layer; 0 = experts / ranks, rounded up: the paper's
/// equal counts where they divide. Usage error when the slots are too few.
[[nodiscard]] Placement empty_placement(int layers, int ranks, int experts, int slots = 0);

/// `placement` with more slots a rank, the new ones empty. Usage error for fewer.
[[nodiscard]] Placement with_slots(const Placement& placement, int slots);

/// Refuses (usage error naming layer and expert) wrong sizes, unknown experts, an expert that is
/// nowhere, or twice on one rank.
void validate(const Placement& placement);

/// Where an expert of a layer lives.
struct Location {
  std::int32_t rank = -1;
  std::int32_t slot = -1;
};

/// [layer][expert] -> location. Only for placements without replicas: throws a usage error
/// otherwise.
[[nodiscard]] std::vector<Location> locations(const Placement& placement);

/// Slots that hold an expert which has another slot in the same layer already, over all layers.
[[nodiscard]] std::int64_t count_duplicates(const Placement& placement);

/// Experts whose weights a rank of `to` needs and the same rank of `from` does not hold, over all
/// layers. Same layers, ranks and experts (usage error otherwise); slots may differ, and another
/// slot of the same rank is no move.
[[nodiscard]] std::int64_t count_moves(const Placement& from, const Placement& to);

}  // namespace gembench::inline cost
