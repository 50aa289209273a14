#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "placement/speeds/profile.hpp"
#include "placement/speeds/profile_samples.hpp"

namespace gembench::inline speeds {

/// A point where more tokens take less time: a property of the device, or a disturbance.
struct Dent {
  int rank = 0;
  std::size_t load_point = 0;  ///< latency there is below that at the load point before
  double fall = 0;             ///< by this share
};

/// Whether a latency falls from one load to the next by more than kLeastFall and by more than
/// noise: the 95 % intervals of both medians do not overlap.
[[nodiscard]] bool falls(const Median& before, const Median& after);
inline constexpr double kLeastFall = 0.02;

/// By rank, then load point. None without samples.
[[nodiscard]] std::vector<Dent> dents_of(const Profile& profile, const ProfileSamples& samples);

/// A sentence for every load point at which some rank has a dent.
[[nodiscard]] std::vector<std::string> say_dents(const Profile& profile,
                                                 const ProfileSamples& samples);

}  // namespace gembench::inline speeds
