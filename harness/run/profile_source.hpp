#pragma once

#include <optional>
#include <string>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline run {

/// What a command says of a profile that it does not measure.
struct ProfileSource {
  const char* command;
  const std::string& profile;
  std::optional<int> ranks;
};

/// The profile that --profile names, for where none is measured: a file, one built in, or without
/// the option equally fast ranks. `source` says which, for people. Usage error when it does not fit
/// --ranks, or needs it.
[[nodiscard]] Profile load_profile(const ProfileSource& from, const Trace& trace,
                                   std::string& source);

/// A slowdown of every rank on top of a profile, overhead included; `floor` as --slowdown-floor.
void slow_down(Profile& profile, const std::vector<double>& slowdown, double floor);

}  // namespace gembench::inline run
