#include "placement/exchange/slot_rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline exchange {
PlacementFile placement_of_rows(const std::vector<SlotRow>& rows, const StatedShape& stated,
                                std::string_view format) {
  if (rows.empty() || rows[0].empty()) throw usage_error("it holds no layer, or no slot");
  if (stated.ranks < 1)
    throw usage_error(
        fmt::format("a file of {} does not say how many ranks there are; add --ranks N", format));
  const auto slots = rows[0].size();
  if (slots % sz(stated.ranks) != 0)
    throw usage_error(
        fmt::format("{} slots do not divide over {} ranks; correct --ranks", slots, stated.ranks));
  PlacementFile read;
  auto& placement = read.placement;
  placement.strategy = format;
  placement.layers = static_cast<int>(rows.size());
  placement.ranks = stated.ranks;
  placement.slots = static_cast<int>(slots / sz(stated.ranks));
  require_slots(placement.layers, static_cast<std::int64_t>(slots));
  placement.slot_expert.reserve(rows.size() * slots);
  for (std::size_t layer = 0; layer < rows.size(); ++layer) {
    if (rows[layer].size() != slots)
      throw usage_error(fmt::format("layer {} has {} slots where the first has {}", layer,
                                    rows[layer].size(), slots));
    for (auto expert : rows[layer])
      if (expert < 0 || expert >= (stated.experts > 0 ? stated.experts : kMaxExperts))
        throw usage_error(fmt::format("layer {}: there is no expert {}", layer, expert));
    placement.slot_expert.insert(placement.slot_expert.end(), rows[layer].begin(),
                                 rows[layer].end());
  }
  placement.experts =
      stated.experts > 0 ? stated.experts : std::ranges::max(placement.slot_expert) + 1;
  separate_repeats(placement);
  validate(placement);
  return read;
}

void require_slots(std::int64_t layers, std::int64_t slots) {
  if (layers * slots > kMaxPlacementSlots)
    throw usage_error(fmt::format("{} layers with {} slots are more than the {} slots accepted",
                                  layers, slots, kMaxPlacementSlots));
}

void require_once(const Placement& placement, std::string_view format) {
  if (count_repeats(placement) > 0)
    throw usage_error(fmt::format(
        "{} slots repeat an expert of their rank, which {} cannot hold; plan it with gembench",
        count_repeats(placement), format));
}

std::string row_text(std::span<const std::int32_t> row) {
  return fmt::format("{}", fmt::join(row, ", "));
}

std::string rows_text(const Placement& placement) {
  std::string text;
  for (int layer = 0; layer < placement.layers; ++layer)
    text +=
        fmt::format("{}[{}]", layer == 0 ? "[" : ", ", row_text(slots_of_layer(placement, layer)));
  return text + "]";
}

int redundant_slots(const Placement& placement) {
  return placement.ranks * placement.slots - placement.experts;
}

void require_full(const Placement& placement, std::string_view format, bool replicas) {
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int rank = 0; rank < placement.ranks; ++rank) {
      const auto empty = std::ranges::count(slots_of_rank(placement, layer, rank), -1);
      if (empty > 0)
        throw usage_error(fmt::format(
            "layer {}: rank {} has {} of its {} slots empty, and {} needs the same number of "
            "experts on every rank; plan {}",
            layer, rank, empty, placement.slots, format,
            replicas
                ? fmt::format("with --replicas {}, which fill them all", redundant_slots(placement))
                : "without --spare-slots on a number of ranks that divides the experts"));
    }
}

bool mentions(std::string_view content, std::string_view name) {
  return content.find(fmt::format("\"{}\"", name)) != std::string_view::npos;
}

}  // namespace gembench::inline exchange
