#include "placement/speeds/profile_dents.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace gembench::inline speeds {

bool falls(const Median& before, const Median& after) {
  if (before.readings < Median::kLeastReadings || after.readings < Median::kLeastReadings)
    return false;
  return after.high < before.low && after.value < (1 - kLeastFall) * before.value;
}

std::vector<Dent> dents_of(const Profile& profile, const ProfileSamples& samples) {
  std::vector<Dent> dents;
  if (samples.points == 0) return dents;
  for (int rank = 0; rank < profile.ranks; ++rank) {
    Median before = median_of(samples.of(rank, 0));
    for (std::size_t load_point = 1; load_point < profile.load_points.size(); ++load_point) {
      const Median now = median_of(samples.of(rank, load_point));
      if (falls(before, now)) dents.push_back({rank, load_point, 1 - now.value / before.value});
      before = now;
    }
  }
  return dents;
}

std::vector<std::string> say_dents(const Profile& profile, const ProfileSamples& samples) {
  struct Seen {
    std::vector<int> ranks;
    double most = 0;
  };
  std::map<std::size_t, Seen> by_load_point;
  for (const Dent& dent : dents_of(profile, samples)) {
    Seen& seen = by_load_point[dent.load_point];
    seen.ranks.push_back(dent.rank);
    seen.most = std::max(seen.most, dent.fall);
  }
  std::vector<std::string> sentences;
  for (const auto& [load_point, seen] : by_load_point)
    sentences.push_back(fmt::format(
        "latency falls by {:.1f} % from {} to {} tokens on rank{} {}, beyond noise",
        seen.most * 100, profile.load_points[load_point - 1], profile.load_points[load_point],
        seen.ranks.size() == 1 ? "" : "s", fmt::join(seen.ranks, ", ")));
  return sentences;
}

}  // namespace gembench::inline speeds
