#include "moe_layer/dispatch/replicas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline dispatch {
void require_physical_slots(const Placement& placement) {
  const auto physical_slots = std::int64_t{placement.ranks} * placement.slots;
  if (physical_slots <= std::numeric_limits<std::uint16_t>::max() ||
      count_duplicates(placement) == 0) {
    return;
  }
  throw usage_error(fmt::format(
      "{} ranks of {} slots are more than the 65535 that a layer with replicas can name: use "
      "fewer --spare-slots",
      placement.ranks, placement.slots));
}

ReplicaChoice::ReplicaChoice(const Placement& placement, const SplitSpec& splitting)
    : rule_(splitting.rule),
      split_(placement, splitting.rule, splitting.cost),
      experts_(sz(placement.experts)),
      physical_slots_of_layer_(sz(placement.ranks) * sz(placement.slots)),
      sums_(experts_),
      quota_(physical_slots_of_layer_),
      next_(experts_) {
  require_physical_slots(placement);
  for (std::size_t physical_slot = 0; physical_slot < physical_slots_of_layer_; ++physical_slot) {
    const auto slots = sz(placement.slots);
    locations_.push_back({static_cast<std::int32_t>(physical_slot / slots),
                          static_cast<std::int32_t>(physical_slot % slots)});
  }
  std::vector<std::vector<std::uint16_t>> of(experts_);
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (auto& physical_slots : of) physical_slots.clear();
    const auto* slot = &placement.slot_expert[sz(layer) * physical_slots_of_layer_];
    for (std::size_t physical_slot = 0; physical_slot < physical_slots_of_layer_; ++physical_slot) {
      if (slot[physical_slot] >= 0)
        of[sz(slot[physical_slot])].push_back(static_cast<std::uint16_t>(physical_slot));
    }
    for (const auto& physical_slots : of) {
      first_.push_back(static_cast<std::uint32_t>(physical_slots_.size()));
      physical_slots_.insert(physical_slots_.end(), physical_slots.begin(), physical_slots.end());
    }
    first_.push_back(static_cast<std::uint32_t>(physical_slots_.size()));
  }
}

void ReplicaChoice::skip(Dealt& next, std::int64_t tokens) const {
  while (tokens > next.left) {
    tokens -= next.left;
    next.left = quota_[physical_slots_[++next.at]];
  }
  next.left -= tokens;
}

void ReplicaChoice::choose(int layer, int rank, std::span<const std::int32_t> counts,
                           std::span<std::uint16_t> ids) {
  if (needs_all_counts()) {
    std::fill(sums_.begin(), sums_.end(), 0);
    for (std::size_t i = 0; i < counts.size(); ++i) sums_[i % experts_] += counts[i];
    split_.slot_loads(sums_, layer, quota_);
  } else {
    // Shifted by the rank, or all ranks' remainders would fall on the same replicas.
    split_.slot_loads(counts, layer, quota_, rank);
  }
  const std::uint32_t* first = &first_[sz(layer) * (experts_ + 1)];
  for (std::size_t expert = 0; expert < experts_; ++expert) {
    next_[expert] = {first[expert], quota_[physical_slots_[first[expert]]]};
    if (!needs_all_counts()) continue;
    for (std::size_t r = 0; r < sz(rank); ++r) skip(next_[expert], counts[r * experts_ + expert]);
  }
  for (std::uint16_t& id : ids) {
    Dealt& next = next_[id];
    skip(next, 1);
    id = physical_slots_[next.at];
  }
}

}  // namespace gembench::inline dispatch
