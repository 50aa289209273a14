#pragma once

#include <optional>
#include <string>

#include "harness/cli/options.hpp"
#include "placement/speeds/profile.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {

/// How far the speeds that are planned on were drawn to their mean.
struct Shrinkage {
  double rho = 1;      ///< reliability of the measured speeds
  int profiles = 1;    ///< that it rests on
  double largest = 0;  ///< share by which the rank that changed most was stretched
  double passing = 0;  ///< standard deviation of a log slowdown about the lasting one
};

/// The speeds to plan on.
struct PlanningSpeeds {
  Profile profile;
  std::optional<Shrinkage> shrinkage;  ///< none: the profile as it is
};

/// The profile shrunk by its reliability if it was measured, `options.speeds` asks for that, and
/// its rounds or older profiles say what lasts; else the profile as it is. A folder of the history
/// gives all of its profiles (*.h5) that are comparable, a file must be; the profile itself and
/// copies of it do not count. Usage error for a file that is not comparable, and for more than 256
/// profiles.
[[nodiscard]] PlanningSpeeds planning_speeds(const SpeedOptions& options,
                                             const ProfileFile& measured);

/// "speeds shrunk by their reliability: rho 0.13 on 2 profiles, ranks by at most 3.1 %"
[[nodiscard]] std::string to_text(const Shrinkage& shrinkage);

}  // namespace gembench::inline run
