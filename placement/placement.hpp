#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench {

/// Which expert sits in which slot of which rank, for every layer. A plain value; a strategy makes
/// it, `validate` judges it.
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

/// An all-empty placement with the smallest equal number of slots that holds every expert once.
/// Throws a usage error unless experts is a multiple of ranks: the paper's equal counts.
[[nodiscard]] Placement empty_placement(int layers, int ranks, int experts);

/// Refuses (usage error naming layer and expert) wrong sizes, unknown experts, an expert that is
/// nowhere, or twice on one rank.
void validate(const Placement& placement);

/// Where an expert of a layer lives.
struct Home {
  std::int32_t rank = -1;
  std::int32_t slot = -1;
};

/// [layer][expert] -> home. Only for placements without replicas: throws a usage error otherwise.
[[nodiscard]] std::vector<Home> homes(const Placement& placement);

/// Number of (layer, expert) pairs whose rank differs between two placements of the same shape.
[[nodiscard]] std::int64_t count_moves(const Placement& from, const Placement& to);

}  // namespace gembench
