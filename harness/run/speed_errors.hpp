#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/run/planning_speeds.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {

inline constexpr int kSpeedErrors = 12;  ///< that are drawn of a measured profile

/// [rank] standard deviation of what a measured profile's speeds may be off by, as a share: the
/// noise of its readings, and at least what passes between profiles; empty: not known.
[[nodiscard]] std::vector<double> speed_errors(const ProfileFile& file,
                                               const std::optional<Shrinkage>& shrunk);

/// The profile with every rank's speed off by a draw of its error; draws are numbered.
[[nodiscard]] Profile drawn_error(const Profile& profile, const std::vector<double>& errors,
                                  std::uint64_t seed, int draw);

}  // namespace gembench::inline run
