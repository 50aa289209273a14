#pragma once

#include <filesystem>
#include <vector>

namespace gembench::inline recordings {

/// A request of a recorded service: its arrival time and its numbers of prompt and generated
/// tokens.
struct Arrival {
  double seconds = 0;  ///< since the first
  int prompt = 0;      ///< tokens
  int generated = 0;   ///< tokens
};

/// Reads arrivals, sorted by time. Columns are found by name: `TIMESTAMP,ContextTokens,
/// GeneratedTokens` (Azure: a date with time of day) or `timestamp_ms,input_length,output_length`
/// (Mooncake). Usage error naming the file and line.
[[nodiscard]] std::vector<Arrival> read_arrivals(const std::filesystem::path& path);

}  // namespace gembench::inline recordings
