#pragma once

#include <filesystem>
#include <string>

#include "placement/placement.hpp"

namespace gembench {

/// A placement with where it came from: the content of placement.json.
struct PlacementFile {
  Placement placement;
  std::string model;  ///< shape it was planned for
  std::uint64_t seed = 0;
  double predicted_step = 0;   ///< s per step on the planning trace; 0 = unknown
  double bound_step = 0;       ///< s per step, lower bound
  std::string trace_source;    ///< free text
  std::string profile_source;  ///< free text
  std::string program;         ///< "gembench 0.1.0"
};

/// Writes JSON: {"schema": "gembench-placement", "schema_version": "1.0.0", "layers", "ranks",
/// "slots", "experts", "strategy", "slot_expert": [layer][rank][slot], ..}. Refuses an existing
/// file unless `overwrite`; an output error says why a file cannot be written.
void write_placement(const std::filesystem::path& path, const PlacementFile& file, bool overwrite);

/// Reads and validates it; usage error for a foreign, truncated or inconsistent file or another
/// major schema version. Files over 256 MiB are refused before they are read.
[[nodiscard]] PlacementFile read_placement(const std::filesystem::path& path);

}  // namespace gembench
