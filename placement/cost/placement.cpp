#include "placement/cost/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline cost {
namespace {

std::size_t first_slot(const Placement& placement, int layer, int rank) {
  return (static_cast<std::size_t>(layer) * static_cast<std::size_t>(placement.ranks) +
          static_cast<std::size_t>(rank)) *
         static_cast<std::size_t>(placement.slots);
}

/// Of all that validate() rejects, wrong sizes.
void require_sizes(const Placement& placement) {
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
  if (!placement.repeats.empty() && placement.repeats.size() != cells)
    throw usage_error(fmt::format("the placement repeats {} slots where {} belong; plan it again",
                                  placement.repeats.size(), cells));
}

std::vector<std::int32_t> slots_from(const Placement& placement, std::size_t first,
                                     std::size_t count) {
  const auto held = std::span(placement.slot_expert).subspan(first, count);
  std::vector<std::int32_t> row(held.begin(), held.end());
  if (placement.repeats.empty()) return row;
  const auto repeats = std::span(placement.repeats).subspan(first, count);
  std::ranges::transform(row, repeats, row.begin(),
                         [](auto one, auto again) { return std::max(one, again); });
  return row;
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
  if (!placement.repeats.empty()) wider.repeats.assign(wider.slot_expert.size(), -1);
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (int rank = 0; rank < placement.ranks; ++rank) {
      std::ranges::copy(placement.on_rank(layer, rank), wider.on_rank(layer, rank).begin());
      if (placement.repeats.empty()) continue;
      const auto from = placement.repeats.begin() +
                        static_cast<std::ptrdiff_t>(first_slot(placement, layer, rank));
      std::copy_n(
          from, placement.slots,
          wider.repeats.begin() + static_cast<std::ptrdiff_t>(first_slot(wider, layer, rank)));
    }
  }
  return wider;
}

void validate(const Placement& placement) {
  require_sizes(placement);
  // Per expert the last (layer, rank) it was seen on, counted from 1: no clearing between layers.
  std::vector<std::int64_t> last_seen(static_cast<std::size_t>(placement.experts), 0);
  const auto slots_of_rank = static_cast<std::size_t>(placement.slots);
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
      for (std::size_t slot = first_slot(placement, layer, rank), end = slot + slots_of_rank;
           !placement.repeats.empty() && slot < end; ++slot) {
        const auto expert = placement.repeats[slot];
        if (expert == -1) continue;
        if (expert < 0 || expert >= placement.experts || placement.slot_expert[slot] != -1 ||
            last_seen[static_cast<std::size_t>(expert)] != layer_base + rank + 1)
          throw usage_error(
              fmt::format("layer {}, rank {}: a slot repeats expert {}, which the rank does not "
                          "hold in another one; plan it again",
                          layer, rank, expert));
      }
    }
    for (std::size_t e = 0; e < last_seen.size(); ++e)
      if (last_seen[e] <= layer_base)
        throw usage_error(
            fmt::format("layer {}: expert {} is on no rank; plan it again", layer, e));
  }
}

void separate_repeats(Placement& placement) {
  require_sizes(placement);
  std::vector<std::int64_t> last_seen(static_cast<std::size_t>(placement.experts), 0);
  const auto slots = static_cast<std::size_t>(placement.slots);
  for (std::size_t cell = 0; cell < placement.slot_expert.size(); ++cell) {
    auto& expert = placement.slot_expert[cell];
    const auto rank = static_cast<std::int64_t>(cell / slots) + 1;  // of any layer
    if (expert < 0 || expert >= placement.experts) continue;
    if (std::exchange(last_seen[static_cast<std::size_t>(expert)], rank) != rank) continue;
    if (placement.repeats.empty()) placement.repeats.assign(placement.slot_expert.size(), -1);
    placement.repeats[cell] = std::exchange(expert, -1);
  }
}

void require_no_repeats(const Placement& placement) {
  const auto repeat = std::ranges::find_if(placement.repeats, [](auto e) { return e >= 0; });
  if (repeat == placement.repeats.end()) return;
  throw usage_error(fmt::format(
      "{} holds expert {} twice on a rank: it can be judged and run, but no plan starts "
      "from it; start from one that holds every expert once a rank",
      placement.strategy, *repeat));
}

std::vector<std::int32_t> slots_of_layer(const Placement& placement, int layer) {
  const auto slots =
      static_cast<std::size_t>(placement.ranks) * static_cast<std::size_t>(placement.slots);
  return slots_from(placement, first_slot(placement, layer, 0), slots);
}

std::vector<std::int32_t> slots_of_rank(const Placement& placement, int layer, int rank) {
  return slots_from(placement, first_slot(placement, layer, rank),
                    static_cast<std::size_t>(placement.slots));
}

std::int64_t count_repeats(const Placement& placement) {
  return std::ranges::count_if(placement.repeats, [](auto e) { return e >= 0; });
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
  const auto occupied =
      std::ranges::count_if(slots, [](auto e) { return e >= 0; }) + count_repeats(placement);
  return occupied - std::int64_t{placement.layers} * placement.experts;  // each is somewhere
}

std::int64_t count_received(const Placement& from, const Placement& to, int layer, int rank) {
  const auto held = from.on_rank(layer, rank);
  return std::ranges::count_if(to.on_rank(layer, rank), [&](auto expert) {
    return expert >= 0 && std::ranges::find(held, expert) == held.end();
  });
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
    for (int rank = 0; rank < to.ranks; ++rank) moves += count_received(from, to, layer, rank);
  return moves;
}

}  // namespace gembench::inline cost
