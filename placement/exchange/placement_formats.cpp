#include "placement/exchange/placement_formats.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"
#include "placement/files/input_file.hpp"

namespace gembench::inline exchange {
namespace {

std::string names() {
  std::string all;
  for (const auto& format : placement_formats())
    all += fmt::format("{}{}", all.empty() ? "" : ", ", format.name);
  return all;
}

/// Whether ranks hold equal sets of experts, in any order of slots.
bool same_locations(const Placement& a, const Placement& b) {
  if (a.layers != b.layers || a.ranks != b.ranks || a.experts != b.experts) return false;
  const auto held = [](const Placement& placement, int layer, int rank) {
    auto experts = slots_of_rank(placement, layer, rank);
    std::erase(experts, -1);
    std::ranges::sort(experts);
    return experts;
  };
  for (int layer = 0; layer < a.layers; ++layer)
    for (int rank = 0; rank < a.ranks; ++rank)
      if (held(a, layer, rank) != held(b, layer, rank)) return false;
  return true;
}

}  // namespace

std::span<const PlacementFormat> placement_formats() {
  static const std::array all = {kGembenchFormat,  kSglangFormat,  kVllmAscendFormat,
                                 kVllmJsonlFormat, kTrtllmFormat,  kVllmRankMapFormat,
                                 kOmniFormat,      kPhy2logFormat, kVllmMapFormat};
  return all;
}

std::string experimental_placement_formats() {
  std::string names;
  for (const auto& format : placement_formats())
    if (!format.experimental.empty())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", format.name);
  return names;
}

const PlacementFormat& find_placement_format(std::string_view name) {
  for (const auto& format : placement_formats())
    if (format.name == name) return format;
  throw usage_error(fmt::format("there is no placement format '{}'{}; choose one of {}", name,
                                did_you_mean(name, names_of_rows(placement_formats())), names()));
}

const PlacementFormat& recognise_placement(std::string_view content) {
  for (const auto& format : placement_formats())
    if (format.recognise(content)) return format;
  throw usage_error(fmt::format("it is no placement in any of the formats {}", names()));
}

PlacementFile read_any_placement(const std::filesystem::path& path, const StatedShape& stated,
                                 std::string_view format) {
  const auto content = read_input_file(path, kMaxPlacementBytes);
  try {
    const auto& chosen =
        format == "auto" ? recognise_placement(content) : find_placement_format(format);
    return chosen.read(content, stated);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

Placement fit_to_trace(const PlacementFile& file, const Trace& trace, int ranks) {
  const auto& placement = file.placement;
  const bool layers_known = !file.layer_ids.empty() && !trace.layer_ids.empty();
  if (placement.experts != trace.experts || placement.ranks != ranks ||
      (placement.layers != trace.layers && !layers_known))
    throw usage_error(fmt::format(
        "it places {} experts of {} layers on {} ranks, here are {} of {} on {}; use a placement "
        "planned for this model and number of ranks{}",
        placement.experts, placement.layers, placement.ranks, trace.experts, trace.layers, ranks,
        placement.layers > trace.layers
            ? ", or leave out its dense layers with gembench convert --first-layer"
            : ""));
  if (placement.slots > placement.experts)
    throw usage_error(fmt::format(
        "it has {} slots a rank, more than the {} experts; plan it with fewer --spare-slots",
        placement.slots, placement.experts));
  return layers_known ? select_layers(file, trace.layer_ids).placement : placement;
}

Placement read_placement_for(const std::filesystem::path& path, const Trace& trace, int ranks) {
  return read_placement_file_for(path, trace, ranks).placement;
}

PlacementFile read_placement_file_for(const std::filesystem::path& path, const Trace& trace,
                                      int ranks) {
  auto file = read_any_placement(path, {ranks, trace.layers, trace.experts});
  try {
    file.placement = fit_to_trace(file, trace, ranks);
    return file;
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

PlacementFile select_layers(const PlacementFile& file, std::span<const std::int32_t> layer_ids) {
  const auto& from = file.placement;
  auto known = file.layer_ids;
  if (known.empty()) {
    known.resize(static_cast<std::size_t>(from.layers));
    std::iota(known.begin(), known.end(), 0);
  }
  PlacementFile result = file;
  auto& to = result.placement;
  to.layers = static_cast<int>(layer_ids.size());
  to.slot_expert.clear();
  to.repeats.clear();
  for (const auto id : layer_ids) {
    const auto found = std::ranges::find(known, id);
    if (found == known.end())
      throw usage_error(
          fmt::format("it has no layer {} of the model; state its layers with "
                      "gembench convert --first-layer",
                      id));
    const auto row = slots_of_layer(from, static_cast<int>(found - known.begin()));
    to.slot_expert.insert(to.slot_expert.end(), row.begin(), row.end());
  }
  separate_repeats(to);
  if (!file.layer_ids.empty()) result.layer_ids.assign(layer_ids.begin(), layer_ids.end());
  return result;
}

std::string checked_text(const PlacementFormat& format, const PlacementFile& file) {
  const auto& placement = file.placement;
  validate(placement);
  auto text = format.write(file);
  auto back = format.read(text, {placement.ranks, placement.layers, placement.experts});
  if (!back.layer_ids.empty()) {
    std::vector<std::int32_t> ids;
    for (int layer = 0; layer < placement.layers; ++layer) ids.push_back(file.layer_id(layer));
    back = select_layers(back, ids);
  }
  if (!same_locations(back.placement, placement))
    throw Error(ExitCode::failed,
                fmt::format("what was written as {} reads back as another placement; nothing is "
                            "kept: report it",
                            format.name));
  return text;
}

}  // namespace gembench::inline exchange
