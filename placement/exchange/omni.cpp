// omni-infer's pattern_path: a NumPy array [rank][MoE layer][expert] of 0 and 1, in C order
// (omni-infer writes int32 and int64).
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/encodings/npy.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kName = "omni";
constexpr auto kFile = "the pattern";

/// Maps of slots, which have two dimensions, are phy2log's.
bool recognise(std::string_view content) {
  if (!is_npy(content.substr(0, kNpyPrefix))) return false;
  try {
    const auto begin = npy_header_bytes(content.substr(0, kNpyPrefix), kFile);
    return content.size() < begin ||
           parse_npy_header(content.substr(0, begin), kFile).shape.size() != 2;
  } catch (const Error&) {
    return true;  // its reader says what is wrong
  }
}

/// Cells [rank][layer][expert] of 0 and 1, with the extents.
struct Pattern {
  std::int64_t ranks = 0, layers = 0, experts = 0;
  std::vector<std::int64_t> held;
};

Pattern parse(std::string_view content) {
  const auto begin = npy_header_bytes(content.substr(0, kNpyPrefix), kFile);
  if (content.size() < begin) throw usage_error("its header is cut off");
  const auto header = parse_npy_header(content.substr(0, begin), kFile);
  if (header.shape.size() != 3 || std::ranges::count(header.shape, 0) > 0)
    throw usage_error("its shape is not that of [rank][layer][expert]");
  Pattern pattern{header.shape[0], header.shape[1], header.shape[2], {}};
  if (pattern.experts > kMaxExperts)
    throw usage_error(
        fmt::format("{} experts are more than the {} there may be", pattern.experts, kMaxExperts));
  const auto items =
      checked_product({pattern.ranks, pattern.layers, pattern.experts}, "the placement");
  const auto data = content.substr(begin);
  if (data.size() != items * size_of(header.element))
    throw usage_error(fmt::format("its shape wants {} bytes and {} are there",
                                  items * size_of(header.element), data.size()));
  pattern.held.resize(items);
  const bool whole = to_integers(header.element, data, pattern.held);
  const auto wrong =
      std::ranges::find_if(pattern.held, [](auto value) { return value != 0 && value != 1; });
  if (!whole || wrong != pattern.held.end())
    throw usage_error("it holds something else than 0 and 1");
  return pattern;
}

PlacementFile read(std::string_view content, const StatedShape& /*stated*/) {
  const Pattern pattern = parse(content);
  const auto ranks = pattern.ranks, layers = pattern.layers, experts = pattern.experts;
  const auto has = [&](std::int64_t rank, std::int64_t layer, std::int64_t expert) {
    return pattern.held[sz((rank * layers + layer) * experts + expert)] == 1;
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
  PlacementFile result;
  auto& placement = result.placement;
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
  require_once(file.placement, kName);
  const auto& placement = file.placement;
  auto content = npy_content(
      "<i4", fmt::format("({}, {}, {})", placement.ranks, placement.layers, placement.experts));
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
    usage,
    {},
    "omni-infer (the Python loader of August 2025 was tried)"};

}  // namespace gembench::inline exchange
