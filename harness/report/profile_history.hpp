#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/statistics/change_point.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline report {

/// More profiles in a folder are left out, the first by name. Ours.
inline constexpr std::size_t kMostProfiles = 1024;
/// A smaller lasting change of a device's speed is not named in a sentence. Ours.
inline constexpr double kLeastShift = 0.02;

/// One device over time.
struct DeviceHistory {
  std::string device;               ///< a GPU's uuid; of CPUs their node and numbers
  std::optional<int> rank;          ///< in the newest profile
  std::vector<std::size_t> at;      ///< index of the profiles that measured it, ascending
  std::vector<double> slower;       ///< [at] share by which it takes longer than its peers there
  std::vector<LevelShift> changes;  ///< of log(1 + slower), by indices of `at`
  /// Its expert phase at the largest load, in every profile that measured it, also without peers.
  std::vector<double> seconds = {};
};

/// Profiles of one command over time, the newest last.
struct ProfileHistory {
  struct Entry {
    std::string file, measured;
  };
  std::string folder;
  std::vector<Entry> profiles;          ///< in the order of `measured`
  std::vector<std::string> left_out;    ///< sentences: files that are not in it, and why
  std::vector<DeviceHistory> devices;   ///< in the order of their names
  double noise = 0;                     ///< standard deviation of `slower` from profile to profile
  std::vector<std::string> notes = {};  ///< sentences: files that are in it, and how they differ
};

/// What a device is compared with its past by.
enum class Past {
  of_peers,   ///< its time over its peers', from which much cancels that they share
  of_itself,  ///< its time: profiles of other software, program versions or slowdowns do not fit
};

/// Usage error where the folder cannot be read.
void require_folder(const std::string& folder);

/// The profiles of `folder` (*.h5) and `now`, whose file is `now_file` (empty: none), up to the
/// time of `now`. Never fails for a file: unreadable ones, other files, profiles that are not
/// comparable with `now`, and copies are left out. Usage error for a folder that cannot be read, or
/// a `now` whose devices or time are not known.
[[nodiscard]] ProfileHistory read_history(const std::string& folder, const ProfileFile& now,
                                          const std::string& now_file, Past past = Past::of_peers);

/// Sentences on files that differ or are not in it; of many that are not, the first.
[[nodiscard]] std::vector<std::string> notes_on_files(const ProfileHistory& history);

/// A sentence for every change of kLeastShift, or that there is none; then notes_on_files().
[[nodiscard]] std::vector<std::string> findings(const ProfileHistory& history);

}  // namespace gembench::inline report
