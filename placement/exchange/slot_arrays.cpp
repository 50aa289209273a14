#include "placement/exchange/slot_arrays.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/npy.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kArray = "the map";

/// Extents [layer][slot] that may be allocated.
void require_extents(std::int64_t layers, std::int64_t slots) {
  if (layers < 1 || slots < 1 || slots > kMaxPlacementSlots || layers > kMaxPlacementSlots)
    throw usage_error(fmt::format("it has {} layers of {} slots; check the map", layers, slots));
  require_slots(layers, slots);
}

std::vector<SlotRow> rows_of(const std::vector<std::int64_t>& cells, std::size_t slots) {
  std::vector<SlotRow> rows;
  for (std::size_t at = 0; at < cells.size(); at += slots) {
    SlotRow row;
    for (std::size_t slot = 0; slot < slots; ++slot)
      // What is no expert stays none.
      row.push_back(
          static_cast<std::int32_t>(std::clamp<std::int64_t>(cells[at + slot], -1, kMaxExperts)));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::vector<SlotRow> torch_rows(TorchFile& file, const PickleValue* value,
                                const std::string& what) {
  const auto tensor = file.tensor(value, what, 2, 2);
  require_extents(tensor.shape[0], tensor.shape[1]);
  std::vector<std::int64_t> cells(static_cast<std::size_t>(tensor.shape[0] * tensor.shape[1]));
  file.open(tensor);
  file.read(cells);
  return rows_of(cells, static_cast<std::size_t>(tensor.shape[1]));
}

std::vector<SlotRow> npy_rows(std::string_view content) {
  const auto begin = npy_header_bytes(content.substr(0, kNpyPrefix), kArray);
  if (content.size() < begin) throw usage_error("its header is cut off");
  const auto header = parse_npy_header(content.substr(0, begin), kArray);
  if (header.shape.size() != 2)
    throw usage_error(
        fmt::format("its array has {} dimensions; a map has [layer][slot]", header.shape.size()));
  require_extents(header.shape[0], header.shape[1]);
  std::vector<std::int64_t> cells(static_cast<std::size_t>(header.shape[0] * header.shape[1]));
  const auto data = content.substr(begin);
  if (data.size() != cells.size() * size_of(header.element))
    throw usage_error(fmt::format("its shape wants {} bytes and {} are there",
                                  cells.size() * size_of(header.element), data.size()));
  if (!to_integers(header.element, data, cells))
    throw usage_error("it holds something else than whole numbers");
  return rows_of(cells, static_cast<std::size_t>(header.shape[1]));
}

}  // namespace gembench::inline exchange
