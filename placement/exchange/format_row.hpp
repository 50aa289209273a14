#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "placement/exchange/placement_file.hpp"

namespace gembench::inline exchange {

/// Facts about a placement that most engines' files do not contain. 0 = not stated.
struct StatedShape {
  int ranks = 0;
  int layers = 0;  ///< MoE layers; for files with one map for all of them
  int experts = 0;
};

/// A format: plain functions on whole contents. Errors are usage errors that name layer and rank;
/// the caller adds the file's name.
struct PlacementFormat {
  std::string_view name;   ///< as on the command line
  std::string_view what;   ///< who reads it, for `list` and for people
  std::string_view loses;  ///< the parts of placement.json that it cannot hold
  /// Whether the content looks like it. Never throws.
  bool (*recognise)(std::string_view content);
  /// Checks the content by the rules of the engine's own loader.
  PlacementFile (*read)(std::string_view content, const StatedShape& stated);
  /// Rejects what the engine could not load: in every format except our own, a rank with an empty
  /// slot.
  std::string (*write)(const PlacementFile& file);
  /// How to give the file to the engine.
  std::string (*usage)(const PlacementFile& file, const std::string& path);
  /// The proposal that defines it, if no release of the engine reads it; it may change. Else empty.
  std::string_view experimental = {};
  /// Versions of the reader that are known to load it, and conditions, for `convert`.
  std::string_view loaded_by = {};
};

}  // namespace gembench::inline exchange
