#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "placement/files/output_owner.hpp"
#include "placement/speeds/profile.hpp"
#include "placement/speeds/profile_samples.hpp"
#include "results/run_file.hpp"

namespace gembench::inline results {

inline constexpr std::string_view kProfileSchema = "gembench-profile";

/// Everything in a profile.h5. In files of older versions or other programs, all members after
/// `profile` may be missing (empty).
struct ProfileFile {
  Profile profile;
  ProfileSamples samples;
  /// /environment: per-rank strings by name ("host", "device_name", "device_id"), each of size
  /// ranks.
  std::map<std::string, std::vector<std::string>> rank_facts;
  std::vector<GpuReading> before, after;  ///< [rank] the state of the devices, also of CPUs
  std::string measured;                   ///< when: ISO 8601, UTC
  int warmup_rounds = 0;                  ///< discarded
  bool warm = false;                      ///< the last two of them agreed
  bool tight = false;                     ///< every median was tight; else the budget ended first
  double seconds = 0;                     ///< wall clock it took
  std::string program = {};               ///< which measured it, with its version
  /// [rank] read from the GPUs while it was measured, times since its begin; empty: none. Only
  /// written; read by read_profile_series().
  std::vector<std::vector<StateSample>> series = {};
  SoakRecord soak = {};  ///< before it
};

/// profile.h5 as SCHEMA.md says. Written to a temporary name and renamed. Output error for an
/// existing file unless `overwrite`.
void write_profile(const std::filesystem::path& path, const ProfileFile& content, bool overwrite);
/// For a name that was claimed before measuring the profile.
void write_profile(OutputOwner owner, const ProfileFile& content, bool overwrite);

/// Reads and validates all but the series, of which it checks the sizes; usage error for a foreign,
/// truncated or inconsistent file.
[[nodiscard]] ProfileFile read_profile_file(const std::filesystem::path& path);
/// The series of one rank, in order of time; empty: none.
[[nodiscard]] std::vector<StateSample> read_profile_series(const std::filesystem::path& path,
                                                           int rank);
/// The profile alone, read and validated.
[[nodiscard]] Profile read_profile(const std::filesystem::path& path);

}  // namespace gembench::inline results
