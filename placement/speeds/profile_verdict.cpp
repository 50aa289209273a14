#include "placement/speeds/profile_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "placement/base/error.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline speeds {
namespace {

constexpr std::size_t kLeastInHalf = 3;  // readings of a point before a half of the rounds counts

double median(std::vector<double> values) {
  return quantile(std::move(values), 0.5);
}

/// The smaller of two middle values, so that with two ranks the faster one is the reference.
double lower_median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool beyond(double share, double noise) {
  return share > std::max(kNamed, noise);
}

/// The uncertainty of a rank's latencies, as a share: the median over load points.
double noise_of(const Profile& profile, const ProfileSamples& samples, int rank) {
  std::vector<double> known;
  for (std::size_t load_point = 1; load_point < profile.load_points.size(); ++load_point) {
    double half = NAN;
    if (samples.points > 0) {
      const Median found = median_of(samples.of(rank, load_point));
      half = (found.high - found.low) / 2;
    } else {
      half =
          profile.spread[static_cast<std::size_t>(rank) * profile.load_points.size() + load_point] /
          2;
    }
    if (profile.at(rank, load_point) > 0) known.push_back(half / profile.at(rank, load_point));
  }
  return known.empty() ? 0 : median(known);
}

std::vector<double> noises_of(const Profiled& one) {
  std::vector<double> noises;
  for (int rank = 0; rank < one.profile.ranks; ++rank)
    noises.push_back(noise_of(one.profile, one.samples, rank));
  return noises;
}

/// [rank] share of the median rank's time at every load point, median over load points.
/// `latency(rank, load_point)`: NaN leaves the load point out.
template <class Latency>
std::vector<double> slower_by(const Profile& profile, Latency latency) {
  std::vector<std::vector<double>> ratios(static_cast<std::size_t>(profile.ranks));
  for (std::size_t load_point = 1; load_point < profile.load_points.size(); ++load_point) {
    std::vector<double> seconds;
    for (int rank = 0; rank < profile.ranks; ++rank) seconds.push_back(latency(rank, load_point));
    if (std::ranges::any_of(seconds, [](double s) { return std::isnan(s); })) continue;
    const double usual = lower_median(seconds);
    for (std::size_t rank = 0; usual > 0 && rank < seconds.size(); ++rank)
      ratios[rank].push_back(seconds[rank] / usual);
  }
  std::vector<double> slower;
  for (auto& of_rank : ratios) slower.push_back(of_rank.empty() ? NAN : median(of_rank) - 1);
  return slower;
}

/// [rank] share by which it is slower in the first or the second half of the rounds; NaN if these
/// are too few.
std::vector<double> slower_in_half(const Profile& profile, const ProfileSamples& samples,
                                   bool late) {
  return slower_by(profile, [&](int rank, std::size_t load_point) {
    const std::size_t middle = samples.rounds / 2;
    const auto readings =
        samples.of(rank, load_point, late ? middle : 0, late ? samples.rounds : middle);
    return readings.size() < kLeastInHalf ? NAN : median(readings);
  });
}

void judge_slowing(const ProfileSamples& samples, std::vector<RankSpeed>& speeds) {
  std::vector<double> late_by_early;
  for (int rank = 0; rank < samples.ranks; ++rank) {
    std::vector<double> ratios;
    for (std::size_t point = 0; point < samples.points; ++point) {
      const auto early = samples.of(rank, point, 0, samples.rounds / 2);
      const auto late = samples.of(rank, point, samples.rounds / 2, samples.rounds);
      const bool enough = early.size() >= kLeastInHalf && late.size() >= kLeastInHalf;
      if (enough && median(early) > 0) ratios.push_back(median(late) / median(early));
    }
    if (ratios.empty()) return;  // ranks measure the same points in the same rounds
    late_by_early.push_back(median(ratios));
    const Median found = median_of(ratios);
    speeds[static_cast<std::size_t>(rank)].slowing_noise = (found.high - found.low) / 2;
  }
  const double common = lower_median(late_by_early);
  for (std::size_t rank = 0; rank < speeds.size(); ++rank) {
    RankSpeed& speed = speeds[rank];
    speed.slowing = late_by_early[rank] / common - 1;
    speed.fail_slow = beyond(speed.slowing, speed.slowing_noise);
  }
}

}  // namespace

void require_comparable(const Profile& before, const Profile& now) {
  const auto differ = [](const auto& what, const auto& old, const auto& other) {
    throw usage_error(
        fmt::format("the profiles cannot be compared: {} of the old one is {} and of the new one "
                    "{}; measure with the same options as then",
                    what, old, other));
  };
  if (before.ranks != now.ranks) differ("the number of ranks", before.ranks, now.ranks);
  if (before.model != now.model) differ("the model", before.model, now.model);
  if (before.clock != now.clock) differ("the clock", before.clock, now.clock);
  if (before.slots > 0 && now.slots > 0 && before.slots != now.slots)
    differ("the number of experts a rank", before.slots, now.slots);
}

std::vector<RankSpeed> judge_speeds(const Profile& profile, const ProfileSamples& samples) {
  std::vector<RankSpeed> speeds(static_cast<std::size_t>(profile.ranks));
  const auto noises = noises_of({profile, samples});
  const double usual = median(noises);
  const auto slower = slower_by(
      profile, [&](int rank, std::size_t load_point) { return profile.at(rank, load_point); });
  const bool sampled = samples.points > 0;
  const std::vector<double> unknown(speeds.size(), NAN);
  const auto early = sampled ? slower_in_half(profile, samples, false) : unknown;
  const auto late = sampled ? slower_in_half(profile, samples, true) : unknown;
  for (std::size_t rank = 0; rank < speeds.size(); ++rank) {
    speeds[rank].slower = std::isnan(slower[rank]) ? 0 : slower[rank];
    speeds[rank].noise = std::hypot(noises[rank], usual);
    const bool throughout = !(early[rank] <= kNamed) && !(late[rank] <= kNamed);
    speeds[rank].slow = beyond(speeds[rank].slower, speeds[rank].noise) && throughout;
  }
  if (samples.points > 0) judge_slowing(samples, speeds);
  return speeds;
}

std::vector<double> slower_than_peers(const Profile& profile) {
  std::vector<double> slower;
  for (int rank = 0; rank < profile.ranks; ++rank) {
    std::vector<double> ratios;
    for (std::size_t load_point = 1; load_point < profile.load_points.size(); ++load_point) {
      std::vector<double> others;
      for (int other = 0; other < profile.ranks; ++other) {
        if (other != rank) others.push_back(profile.at(other, load_point));
      }
      const double usual = median(std::move(others));
      if (usual > 0) ratios.push_back(profile.at(rank, load_point) / usual);
    }
    slower.push_back(median(std::move(ratios)) - 1);
  }
  return slower;
}

ProfileDrift drift_between(const Profiled& before, const Profiled& now) {
  require_comparable(before.profile, now.profile);
  Profile bare = before.profile;
  std::fill(bare.overhead.begin(), bare.overhead.end(), 0.0);
  const CostModel old(bare);
  ProfileDrift drift;
  std::vector<double> changes;
  for (int rank = 0; rank < now.profile.ranks; ++rank) {
    std::vector<double> ratios;
    for (std::size_t load_point = 1; load_point < now.profile.load_points.size(); ++load_point) {
      const auto load = now.profile.load_points[load_point];
      const double then = old.seconds(rank, load);
      if (load <= bare.load_points.back() && then > 0)
        ratios.push_back(now.profile.at(rank, load_point) / then);
    }
    if (ratios.empty())
      throw usage_error("the profiles have no load in common; measure with the same options");
    const Median found = median_of(ratios);
    drift.ranks.push_back({found.value - 1, found.low - 1, found.high - 1, 0, false});
    changes.push_back(found.value);
  }
  const double one = lower_median(changes);
  for (double& change : changes) change = -change;
  const double other = -lower_median(changes);
  const double common = std::abs(std::log(one)) <= std::abs(std::log(other)) ? one : other;
  const double noise_before = median(noises_of(before)), noise_now = median(noises_of(now));
  drift.noise = std::hypot(noise_before, noise_now);
  drift.common = common - 1;
  drift.shared = beyond(std::abs(drift.common), drift.noise);
  for (RankDrift& rank : drift.ranks) {
    rank.relative = (1 + rank.change) / common - 1;
    rank.drifted = beyond(std::abs(rank.relative), drift.noise);
  }
  return drift;
}

}  // namespace gembench::inline speeds
