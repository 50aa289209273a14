#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "placement/exchange/format_row.hpp"

namespace gembench::inline exchange {

/// Engines number the slots of a layer across all ranks: slot p belongs to rank p / (slots of a
/// rank). This is also the memory layout of a Placement.
using SlotRow = std::vector<std::int32_t>;

/// [layer] rows of as many slots each -> a placement on stated.ranks ranks, which must be stated
/// and divide them. Experts are those stated, or as many as the highest id says. Usage errors for
/// that and as validate(); a slot whose expert its rank holds already is in `repeats`.
[[nodiscard]] PlacementFile placement_of_rows(const std::vector<SlotRow>& rows,
                                              const StatedShape& stated, std::string_view format);

/// Most slots of all layers; more are rejected (usage error) before they are allocated.
inline constexpr std::int64_t kMaxPlacementSlots = std::int64_t{1} << 24;
void require_slots(std::int64_t layers, std::int64_t slots);

/// "0, 1, 2"
[[nodiscard]] std::string row_text(std::span<const std::int32_t> row);
/// "[[0, 1], [1, 0]]", as Python's json writes it.
[[nodiscard]] std::string rows_text(const Placement& placement);
/// Slots beyond one an expert.
[[nodiscard]] int redundant_slots(const Placement& placement);

/// Usage error with the remedy for an empty slot, which no engine's format can hold.
/// `replicas`: whether it can hold any.
void require_full(const Placement& placement, std::string_view format, bool replicas = true);
/// Usage error where a rank holds an expert twice, for formats that cannot hold that.
void require_once(const Placement& placement, std::string_view format);
/// Whether a JSON text may have this member: a cheap test for recognising formats.
[[nodiscard]] bool mentions(std::string_view content, std::string_view name);

}  // namespace gembench::inline exchange
