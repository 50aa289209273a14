#include "placement/exchange/slot_rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline exchange {
namespace {

/// Empties slots whose expert their rank holds already; how many.
std::int64_t merge_duplicates(Placement& placement) {
  std::vector<std::int64_t> last_seen(sz(placement.experts), 0);  // (layer, rank) from 1
  std::int64_t merged = 0, cell = 0;
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int rank = 0; rank < placement.ranks; ++rank) {
      ++cell;
      for (auto& expert : placement.on_rank(layer, rank)) {
        if (std::exchange(last_seen[sz(expert)], cell) != cell) continue;
        expert = -1;
        ++merged;
      }
    }
  return merged;
}

}  // namespace

ReadPlacement placement_of_rows(const std::vector<SlotRow>& rows, const StatedShape& stated,
                                std::string_view format) {
  if (rows.empty() || rows[0].empty()) throw usage_error("it holds no layer, or no slot");
  if (stated.ranks < 1)
    throw usage_error(
        fmt::format("a file of {} does not say how many ranks there are; add --ranks N", format));
  const auto slots = rows[0].size();
  if (slots % sz(stated.ranks) != 0)
    throw usage_error(
        fmt::format("{} slots do not divide over {} ranks; correct --ranks", slots, stated.ranks));
  ReadPlacement read;
  auto& placement = read.file.placement;
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
  read.merged = merge_duplicates(placement);
  validate(placement);
  return read;
}

void require_slots(std::int64_t layers, std::int64_t slots) {
  if (layers * slots > kMaxPlacementSlots)
    throw usage_error(fmt::format("{} layers with {} slots are more than the {} slots accepted",
                                  layers, slots, kMaxPlacementSlots));
}

std::span<const std::int32_t> slots_of_layer(const Placement& placement, int layer) {
  const auto slots = sz(placement.ranks) * sz(placement.slots);
  return std::span(placement.slot_expert).subspan(sz(layer) * slots, slots);
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
      const auto slots = placement.on_rank(layer, rank);
      const auto empty = std::ranges::count(slots, -1);
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
