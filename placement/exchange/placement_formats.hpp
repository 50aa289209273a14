#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "placement/exchange/format_row.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/loads/trace.hpp"

/// Placements in the formats that serving engines load.
namespace gembench::inline exchange {

/// All of them; `auto` takes the first that recognises the content.
[[nodiscard]] std::span<const PlacementFormat> placement_formats();

/// "vllm-map, vllm-jsonl": the formats of proposals that no release has adopted, for help texts.
[[nodiscard]] std::string experimental_placement_formats();

/// Looks a name up; usage error that lists the known names.
[[nodiscard]] const PlacementFormat& find_placement_format(std::string_view name);
/// The format of a content; usage error that lists the names there are.
[[nodiscard]] const PlacementFormat& recognise_placement(std::string_view content);

/// A file of any format, `format` a name or `auto`; usage errors name the file. Files above
/// kMaxPlacementBytes are refused before they are read.
[[nodiscard]] PlacementFile read_any_placement(const std::filesystem::path& path,
                                               const StatedShape& stated,
                                               std::string_view format = "auto");

/// The placement of this trace's layers. Layers are matched by their indices in the model if both
/// sides have them, so that the file may have more layers (some formats include dense ones); else
/// in order. Usage error for another shape or other ranks.
[[nodiscard]] Placement fit_to_trace(const PlacementFile& file, const Trace& trace, int ranks);

/// A file of any format, matched to the trace. Usage errors name the file.
[[nodiscard]] Placement read_placement_for(const std::filesystem::path& path, const Trace& trace,
                                           int ranks);
/// With the other facts that the file has about the placement; layer_ids stay the file's.
[[nodiscard]] PlacementFile read_placement_file_for(const std::filesystem::path& path,
                                                    const Trace& trace, int ranks);

/// A placement as text in `format`, after it was read back and found to be the same.
[[nodiscard]] std::string checked_text(const PlacementFormat& format, const PlacementFile& file);

/// The layers with these indices in the model, in this order. Usage error naming a missing one.
[[nodiscard]] PlacementFile select_layers(const PlacementFile& file,
                                          std::span<const std::int32_t> layer_ids);

}  // namespace gembench::inline exchange
