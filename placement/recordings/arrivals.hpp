#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gembench::inline recordings {

/// A request of a recorded service: its arrival time and its numbers of prompt and generated
/// tokens.
struct Arrival {
  double seconds = 0;  ///< since the first
  int prompt = 0;      ///< tokens
  int generated = 0;   ///< tokens
};

/// Reads arrivals, sorted by time. A table's columns are found by name:
/// `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure: a date with time of day), `timestamp_ms` or
/// `timestamp` in ms with `input_length,output_length` (Mooncake), `Timestamp` in s with
/// `Request tokens,Response tokens` (BurstGPT). Mooncake's own files are JSON lines of the same
/// names. `notes` receives what the user must know. Usage error naming the file and line.
[[nodiscard]] std::vector<Arrival> read_arrivals(const std::filesystem::path& path,
                                                 std::vector<std::string>* notes = nullptr);

}  // namespace gembench::inline recordings
