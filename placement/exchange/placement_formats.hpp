#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "placement/cost/placement_file.hpp"
#include "placement/loads/trace.hpp"

/// Placements in the formats that serving engines load.
namespace gembench::inline exchange {

/// What is known of a placement beside its file: most engines' files leave it out. 0 = not stated.
struct StatedShape {
  int ranks = 0;
  int layers = 0;  ///< MoE layers; for files with one map for all of them
  int experts = 0;
};

/// What a file says.
struct ReadPlacement {
  PlacementFile file;
  /// Slots whose expert the rank holds in another slot already. They are read as empty, since a
  /// rank computes an expert once; an engine would send such a rank a share of tokens for each.
  std::int64_t merged = 0;
};

/// A format: plain functions on whole contents. What is wrong is said in usage errors that name
/// layer and rank and leave naming the file to the caller.
struct PlacementFormat {
  std::string_view name;   ///< as on the command line
  std::string_view what;   ///< who reads it, for `list` and for people
  std::string_view loses;  ///< what it cannot hold, of what placement.json does
  /// Whether the content looks like it. Never throws.
  bool (*recognise)(std::string_view content);
  /// Holds the content against the rules of the engine's own loader.
  ReadPlacement (*read)(std::string_view content, const StatedShape& stated);
  /// Refuses what the engine could not load: in every format but our own that is a rank with an
  /// empty slot.
  std::string (*write)(const PlacementFile& file);
  /// How the engine is told of the file.
  std::string (*usage)(const PlacementFile& file, const std::string& path);
};

/// All of them; `auto` takes the first that recognises the content.
[[nodiscard]] std::span<const PlacementFormat> placement_formats();

/// Looks a name up; usage error that lists the names there are.
[[nodiscard]] const PlacementFormat& find_placement_format(std::string_view name);
/// The format of a content; usage error that lists the names there are.
[[nodiscard]] const PlacementFormat& recognise_placement(std::string_view content);

/// A file of any format, `format` a name or `auto`; usage errors name the file. Files above
/// kMaxPlacementBytes are refused before they are read.
[[nodiscard]] ReadPlacement read_any_placement(const std::filesystem::path& path,
                                               const StatedShape& stated,
                                               std::string_view format = "auto");

/// The placement of this trace's layers. They belong together by their indices in the model where
/// both sides know them, so that the file may have more (dense ones, as some formats want); else in
/// order. Usage error for another shape or other ranks.
[[nodiscard]] Placement fit_to_trace(const PlacementFile& file, const Trace& trace, int ranks);

/// A file of any format, fitted. Usage errors name the file; one is for experts twice on a rank,
/// which read_any_placement tells of.
[[nodiscard]] Placement read_placement_for(const std::filesystem::path& path, const Trace& trace,
                                           int ranks);
/// The same with what the file says beside the placement; layer_ids are still the file's.
[[nodiscard]] PlacementFile read_placement_file_for(const std::filesystem::path& path,
                                                    const Trace& trace, int ranks);

/// The text that `format` makes of a placement, after it was read back and found to say the same.
[[nodiscard]] std::string checked_text(const PlacementFormat& format, const PlacementFile& file);

/// The layers with these indices in the model, in this order. Usage error naming one that is not
/// there.
[[nodiscard]] PlacementFile select_layers(const PlacementFile& file,
                                          std::span<const std::int32_t> layer_ids);

}  // namespace gembench::inline exchange
