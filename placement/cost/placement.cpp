#include "placement/cost/placement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline cost {
namespace {

std::size_t first_slot(const Placement& placement, int layer, int rank) {
  return (static_cast<std::size_t>(layer) * static_cast<std::size_t>(placement.ranks) +
          static_cast<std::size_t>(rank)) *
         static_cast<std::size_t>(placement.slots);
}

}  // namespace

std::span<const std::int32_t> Placement::on_rank(int layer, int rank) const {
  return {slot_expert.data() + first_slot(*this, layer, rank), static_cast<std::size_t>(slots)};
}

std::span<std::int32_t> Placement::on_rank(int layer, int rank) {
  return {slot_expert.data() + first_slot(*this, layer, rank), static_cast<std::size_t>(slots)};
}

Placement empty_placement(int layers, int ranks, int experts, int slots) {
  if (layers < 1 || ranks < 1 || experts < 1)
    throw usage_error(
        fmt::format("{} layers, {} ranks and {} experts; a placement needs at least 1 "
                    "of each",
                    layers, ranks, experts));
  if (slots < 0) throw usage_error(fmt::format("{} slots per rank; use at least 1", slots));
  const auto least = (experts - 1) / ranks + 1;
  if (slots != 0 && slots < least)
    throw usage_error(fmt::format("{} ranks with {} slots cannot hold {} experts; use {} slots",
                                  ranks, slots, experts, least));
  Placement placement;
  placement.layers = layers;
  placement.ranks = ranks;
  placement.slots = slots == 0 ? least : slots;
  placement.experts = experts;
  placement.slot_expert.assign(checked_product({layers, ranks, placement.slots}, "the placement"),
                               -1);
  return placement;
}

Placement with_slots(const Placement& placement, int slots) {
  if (slots < placement.slots) {
    throw usage_error(fmt::format("{} has {} slots a rank and {} are there: raise --spare-slots",
                                  placement.strategy, placement.slots, slots));
  }
  Placement wider = empty_placement(placement.layers, placement.ranks, placement.experts, slots);
  wider.strategy = placement.strategy;
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (int rank = 0; rank < placement.ranks; ++rank) {
      std::ranges::copy(placement.on_rank(layer, rank), wider.on_rank(layer, rank).begin());
    }
  }
  return wider;
}

void validate(const Placement& placement) {
  if (placement.layers < 1 || placement.ranks < 1 || placement.slots < 1 || placement.experts < 1)
    throw usage_error(
        fmt::format("the placement has {} layers, {} ranks, {} slots and {} experts; "
                    "all must be at least 1",
                    placement.layers, placement.ranks, placement.slots, placement.experts));
  const auto cells =
      checked_product({placement.layers, placement.ranks, placement.slots}, "the placement");
  if (placement.slot_expert.size() != cells)
    throw usage_error(fmt::format("the placement holds {} slots where {} belong; plan it again",
                                  placement.slot_expert.size(), cells));
  if (placement.experts > static_cast<std::int64_t>(placement.ranks) * placement.slots)
    throw usage_error(
        fmt::format("the placement has {} experts but only {} ranks with {} slots; "
                    "plan it again",
                    placement.experts, placement.ranks, placement.slots));
  // Per expert the last (layer, rank) it was seen on, counted from 1: no clearing between layers.
  std::vector<std::int64_t> last_seen(static_cast<std::size_t>(placement.experts), 0);
  for (int layer = 0; layer < placement.layers; ++layer) {
    const std::int64_t layer_base = static_cast<std::int64_t>(layer) * placement.ranks;
    for (int rank = 0; rank < placement.ranks; ++rank) {
      for (auto expert : placement.on_rank(layer, rank)) {
        if (expert == -1) continue;
        if (expert < 0 || expert >= placement.experts)
          throw usage_error(fmt::format("layer {}, rank {}: expert {} does not exist; there are {}",
                                        layer, rank, expert, placement.experts));
        auto& seen = last_seen[static_cast<std::size_t>(expert)];
        if (seen == layer_base + rank + 1)
          throw usage_error(fmt::format("layer {}: expert {} is twice on rank {}; plan it again",
                                        layer, expert, rank));
        seen = layer_base + rank + 1;
      }
    }
    for (std::size_t e = 0; e < last_seen.size(); ++e)
      if (last_seen[e] <= layer_base)
        throw usage_error(
            fmt::format("layer {}: expert {} is on no rank; plan it again", layer, e));
  }
}

std::vector<Location> locations(const Placement& placement) {
  validate(placement);
  const auto experts = static_cast<std::size_t>(placement.experts);
  std::vector<Location> found(static_cast<std::size_t>(placement.layers) * experts);
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (int rank = 0; rank < placement.ranks; ++rank) {
      const auto slots = placement.on_rank(layer, rank);
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        if (slots[slot] < 0) continue;
        auto& location = found[static_cast<std::size_t>(layer) * experts +
                               static_cast<std::size_t>(slots[slot])];
        if (location.rank >= 0)
          throw usage_error(
              fmt::format("layer {}: expert {} is on ranks {} and {}; replicas are not "
                          "supported here",
                          layer, slots[slot], location.rank, rank));
        location = {rank, static_cast<std::int32_t>(slot)};
      }
    }
  }
  return found;
}

std::int64_t count_duplicates(const Placement& placement) {
  validate(placement);
  const auto& slots = placement.slot_expert;
  const auto occupied = std::count_if(slots.begin(), slots.end(), [](auto e) { return e >= 0; });
  return occupied - std::int64_t{placement.layers} * placement.experts;  // each is somewhere
}

std::int64_t count_moves(const Placement& from, const Placement& to) {
  if (from.layers != to.layers || from.ranks != to.ranks || from.experts != to.experts)
    throw usage_error(
        "placements of different shape cannot be compared; use the same model and "
        "number of ranks");
  validate(from);
  validate(to);
  std::int64_t moves = 0;
  for (int layer = 0; layer < to.layers; ++layer)
    for (int rank = 0; rank < to.ranks; ++rank) {
      const auto held = from.on_rank(layer, rank);
      for (auto expert : to.on_rank(layer, rank))
        moves += expert >= 0 && std::find(held.begin(), held.end(), expert) == held.end();
    }
  return moves;
}

}  // namespace gembench::inline cost
