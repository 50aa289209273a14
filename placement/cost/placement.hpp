#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench::inline cost {

/// Which expert is in which slot of which rank, for every layer. A plain value; a strategy makes
/// it, `validate` checks it. An expert may be on several ranks (replicas; token_split.hpp splits
/// its tokens) but never twice on one rank (see `repeats`); a slot may be empty.
struct Placement {
  int layers = 0;
  int ranks = 0;
  int slots = 0;    ///< per rank and layer, the same everywhere
  int experts = 0;  ///< per layer
  /// [layer][rank][slot] -> expert, -1 = empty.
  std::vector<std::int32_t> slot_expert;
  std::string strategy;  ///< name of the strategy that made it
  /// [layer][rank][slot] -> expert that this slot holds although its rank holds it in another one,
  /// -1 = none; empty if there are none. Only maps that engines' balancers made have any. Here
  /// such a slot is empty in `slot_expert`, and the other one gets its share of tokens.
  std::vector<std::int32_t> repeats = {};

  [[nodiscard]] std::span<const std::int32_t> on_rank(int layer, int rank) const;
  [[nodiscard]] std::span<std::int32_t> on_rank(int layer, int rank);
};

/// An all-empty placement. `slots` per rank and layer; 0 = experts / ranks, rounded up (equal
/// counts as in the paper if there is no remainder). Usage error if there are too few slots.
[[nodiscard]] Placement empty_placement(int layers, int ranks, int experts, int slots = 0);

/// `placement` with more slots per rank, the new ones empty. Usage error for fewer.
[[nodiscard]] Placement with_slots(const Placement& placement, int slots);

/// Rejects (usage error naming layer and expert) wrong sizes, unknown experts, and an expert that
/// is on no rank or twice on one rank.
void validate(const Placement& placement);

/// Moves every slot whose expert its rank holds already to `repeats`. Usage error for wrong sizes,
/// as in validate(), which must follow.
void separate_repeats(Placement& placement);

/// All slots of a layer, or a rank's, those that repeat an expert of their rank included.
[[nodiscard]] std::vector<std::int32_t> slots_of_layer(const Placement& placement, int layer);
[[nodiscard]] std::vector<std::int32_t> slots_of_rank(const Placement& placement, int layer,
                                                      int rank);
/// Slots that repeat an expert of their rank.
[[nodiscard]] std::int64_t count_repeats(const Placement& placement);
/// Usage error if a rank holds an expert twice, which no search starts from.
void require_no_repeats(const Placement& placement);

/// The location of an expert of a layer.
struct Location {
  std::int32_t rank = -1;
  std::int32_t slot = -1;
};

/// [layer][expert] -> location. Only for placements without replicas: throws a usage error
/// otherwise.
[[nodiscard]] std::vector<Location> locations(const Placement& placement);

/// Slots, `repeats` included, whose expert already has another slot in the same layer, over all
/// layers.
[[nodiscard]] std::int64_t count_duplicates(const Placement& placement);

/// Experts whose weights a rank of `to` needs and the same rank of `from` does not hold, over all
/// layers. Same layers, ranks and experts (usage error otherwise); slots may differ, and another
/// slot of the same rank is no move.
[[nodiscard]] std::int64_t count_moves(const Placement& from, const Placement& to);
/// The same of one layer and rank, of placements whose shapes are known to agree.
[[nodiscard]] std::int64_t count_received(const Placement& from, const Placement& to, int layer,
                                          int rank);

}  // namespace gembench::inline cost
