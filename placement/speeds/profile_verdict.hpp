#pragma once

#include <vector>

#include "placement/speeds/profile.hpp"
#include "placement/speeds/profile_samples.hpp"

namespace gembench::inline speeds {

/// A difference between ranks that is reported, unless noise explains it. Ours.
inline constexpr double kNamed = 0.05;

/// The verdict on one rank of a profile. Shares: 0.1 = 10 % longer.
struct RankSpeed {
  double slower = 0;  ///< its expert phase relative to the median rank's, median over load points
  double slowing =
      0;  ///< late rounds relative to early ones, median over points, minus what all ranks share
  double noise = 0;  ///< uncertainty of `slower`
  double slowing_noise = 0;
  /// `slower` beyond kNamed and beyond noise, and also beyond kNamed in each half of the rounds, if
  /// they have enough readings: a temporary difference comes from other work on the machine.
  bool slow = false;
  bool fail_slow = false;  ///< `slowing` likewise
};

/// [rank]. The median rank is the faster of the middle two. `samples` may be empty (a file of
/// schema 1.0): noise then comes from the interquartile ranges and no rank is seen slowing down.
[[nodiscard]] std::vector<RankSpeed> judge_speeds(const Profile& profile,
                                                  const ProfileSamples& samples);

/// [rank] share by which its expert phase takes longer than the median of the other ranks', median
/// over load points; NaN for a rank without others. Other than RankSpeed::slower, no rank is 0 by
/// being the median, so that profiles can be compared with each other.
[[nodiscard]] std::vector<double> slower_than_peers(const Profile& profile);

/// How one rank's latencies changed between two profiles. Shares.
struct RankDrift {
  double change = 0;  ///< median over the new profile's load points of new / old - 1
  double low = 0;     ///< 95 % interval of that median over load points
  double high = 0;
  double relative = 0;   ///< relative to the change that all ranks share
  bool drifted = false;  ///< `relative` beyond kNamed and beyond the noise of both profiles
};

/// How the latencies of all ranks changed from one profile to another.
struct ProfileDrift {
  double common = 0;    ///< the median rank's change; the smaller of two middle ones
  bool shared = false;  ///< `common` beyond kNamed and noise: the whole machine
  double noise = 0;     ///< uncertainty of the changes
  std::vector<RankDrift> ranks;
};

/// A profile and its readings.
struct Profiled {
  const Profile& profile;
  const ProfileSamples& samples;  ///< may be empty
};

/// Usage error for profiles of other ranks, slots, models or clocks. Slots 0: not known.
void require_comparable(const Profile& before, const Profile& now);

/// Compares at the new profile's load points that the old one covers. Usage error for profiles that
/// are not comparable or have no load in common.
[[nodiscard]] ProfileDrift drift_between(const Profiled& before, const Profiled& now);

}  // namespace gembench::inline speeds
