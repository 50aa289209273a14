#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "placement/cost/placement_file.hpp"

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
  /// How the engine is given the file.
  std::string (*usage)(const PlacementFile& file, const std::string& path);
  /// The proposal that it follows where no release of the engine reads it; it may change. Else
  /// empty.
  std::string_view experimental = {};
};

}  // namespace gembench::inline exchange
