// omni-infer's pattern_path: a NumPy array [rank][MoE layer][expert] of 0 and 1, int32 or int64, in
// C order. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "placement/checked.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench {
namespace {

constexpr const char* kName = "omni";
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kBeforeHeader = 10;  // magic, version 1.0, length of the header
constexpr std::size_t kAlignment = 64;

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

struct Npy {
  std::array<std::int64_t, 3> shape{};
  std::size_t item_bytes = 0;
  std::string_view data;
};

/// What follows `'name':` in the header, up to any of `ends`.
std::string_view header_value(std::string_view header, std::string_view name,
                              std::string_view ends) {
  const auto quoted = fmt::format("'{}':", name);
  const auto found = header.find(quoted);
  if (found == std::string_view::npos)
    throw usage_error(fmt::format("its header has no '{}'", name));
  auto value = header.substr(found + quoted.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  const auto end = value.find_first_of(ends);
  if (end == std::string_view::npos) throw usage_error("its header is cut off");
  return value.substr(0, end);
}

std::array<std::int64_t, 3> shape_of(std::string_view text) {
  std::array<std::int64_t, 3> shape{};
  std::size_t axis = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  for (; at < end && (*at == '(' || *at == ' '); ++at) {
  }
  while (at < end) {
    std::int32_t extent = 0;
    const auto [stop, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent < 1 || axis == 3) {
      axis = 0;
      break;
    }
    shape[axis++] = extent;
    for (at = stop; at < end && (*at == ',' || *at == ' '); ++at) {
    }
  }
  if (axis != 3)
    throw usage_error(
        fmt::format("its shape {}) is not that of [rank][layer][expert]", text.substr(0, 60)));
  return shape;
}

Npy parse_npy(std::string_view content) {
  if (!content.starts_with(kMagic) || content.size() < kBeforeHeader)
    throw usage_error("it is no .npy file");
  if (content[6] != 1) throw usage_error("its .npy version is not 1.0; save it with numpy.save");
  const auto length =
      sz(static_cast<unsigned char>(content[8])) + 256 * sz(static_cast<unsigned char>(content[9]));
  if (content.size() - kBeforeHeader < length) throw usage_error("its header is cut off");
  const auto header = content.substr(kBeforeHeader, length);
  const auto type = header_value(header, "descr", ",}");
  if (type != "'<i4'" && type != "'<i8'")
    throw usage_error(fmt::format("its type is {}; save it as int32 or int64", type.substr(0, 40)));
  if (header_value(header, "fortran_order", ",}") != "False")
    throw usage_error("its order is not C's; save numpy.ascontiguousarray of it");
  Npy npy{shape_of(header_value(header, "shape", ")")), type == "'<i4'" ? sz(4) : sz(8),
          content.substr(kBeforeHeader + length)};
  const auto items = checked_product({npy.shape[0], npy.shape[1], npy.shape[2]}, "the placement");
  if (npy.data.size() != items * npy.item_bytes)
    throw usage_error(fmt::format("its shape wants {} bytes and {} are there",
                                  items * npy.item_bytes, npy.data.size()));
  return npy;
}

bool recognise(std::string_view content) {
  return content.starts_with(kMagic);
}

ReadPlacement read(std::string_view content, const StatedShape& /*stated*/) {
  const Npy npy = parse_npy(content);
  const auto ranks = npy.shape[0], layers = npy.shape[1], experts = npy.shape[2];
  if (experts > kMaxExperts)
    throw usage_error(
        fmt::format("{} experts are more than the {} there may be", experts, kMaxExperts));
  const auto has = [&](std::int64_t rank, std::int64_t layer, std::int64_t expert) {
    const auto item = sz((rank * layers + layer) * experts + expert);
    std::int64_t value = 0;  // little-endian, like the file: the low half of an int32 is enough
    std::memcpy(&value, npy.data.data() + item * npy.item_bytes, npy.item_bytes);
    if (value != 0 && value != 1)
      throw usage_error(fmt::format("layer {}: rank {} has {} of expert {}; 0 and 1 are known",
                                    layer, rank, value, expert));
    return value == 1;
  };
  std::int64_t slots = 0;
  for (std::int64_t rank = 0; rank < ranks; ++rank)
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      std::int64_t held = 0;
      for (std::int64_t expert = 0; expert < experts; ++expert) held += has(rank, layer, expert);
      slots = std::max(slots, held);
    }
  if (slots * ranks < experts) throw usage_error("some expert is on no rank");
  require_slots(layers, ranks * slots);
  ReadPlacement result;
  auto& placement = result.file.placement;
  placement = empty_placement(static_cast<int>(layers), static_cast<int>(ranks),
                              static_cast<int>(experts), static_cast<int>(slots));
  placement.strategy = kName;
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int rank = 0; rank < placement.ranks; ++rank) {
      auto slot = placement.on_rank(layer, rank).begin();
      for (int expert = 0; expert < placement.experts; ++expert)
        if (has(rank, layer, expert)) *slot++ = expert;
    }
  validate(placement);
  return result;
}

std::string write(const PlacementFile& file) {
  require_full(file.placement, kName);
  const auto& placement = file.placement;
  // As numpy.save pads it: the data begin at a multiple of 64 bytes, after a line feed.
  auto header = fmt::format("{{'descr': '<i4', 'fortran_order': False, 'shape': ({}, {}, {}), }}",
                            placement.ranks, placement.layers, placement.experts);
  const auto used = kBeforeHeader + header.size() + 1;
  header.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string content(kMagic);
  content += {1, 0, static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  content += header;
  std::vector<std::int32_t> held(sz(placement.experts));
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (int layer = 0; layer < placement.layers; ++layer) {
      std::ranges::fill(held, 0);
      for (auto expert : placement.on_rank(layer, rank)) held[sz(expert)] = 1;
      content.append(reinterpret_cast<const char*>(held.data()), held.size() * sizeof held[0]);
    }
  return content;
}

std::string usage(const PlacementFile& /*file*/, const std::string& path) {
  return fmt::format("pattern_path of omni-infer's placement configuration: {}", path);
}

}  // namespace

const PlacementFormat kOmniFormat = {
    kName,
    "omni-infer's OmniPlacement, pattern_path",
    "order of a rank's slots; which layers are dense; where it comes from",
    recognise,
    read,
    write,
    usage};

}  // namespace gembench
