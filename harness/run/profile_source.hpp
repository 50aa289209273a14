#pragma once

#include <optional>
#include <string>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {

/// The description of a profile that a command does not measure.
struct ProfileSource {
  const char* command;
  const std::string& profile;
  std::optional<int> ranks;
};

/// The profile of --profile for commands that measure none: a file, a built-in one, or without the
/// option ranks of equal speed. `source` describes it. Usage error if it does not match --ranks, or
/// needs it. Only a file's has samples.
[[nodiscard]] ProfileFile load_profile_file(const ProfileSource& from, const Trace& trace,
                                            std::string& source);
/// Without the readings.
[[nodiscard]] Profile load_profile(const ProfileSource& from, const Trace& trace,
                                   std::string& source);

/// A slowdown of every rank on top of a profile, overhead included; `floor` as --slowdown-floor.
void slow_down(Profile& profile, const std::vector<double>& slowdown, double floor);

}  // namespace gembench::inline run
