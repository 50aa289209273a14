#include "moe_layer/profiler/load_points.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gembench::inline profiler {
namespace {

constexpr double kGolden = 0.382;

double within(const Probe& probe) {
  return static_cast<double>(probe.at - probe.low) / static_cast<double>(probe.high - probe.low);
}

}  // namespace

LoadPointSearch::LoadPointSearch(std::vector<std::int64_t> load_points, std::int64_t unit,
                                 const LoadPointRules& rules)
    : load_points_(std::move(load_points)), unit_(unit), rules_(rules) {
  for (std::size_t k = 1; k < load_points_.size(); ++k)
    open(load_points_[k - 1], load_points_[k], std::numeric_limits<double>::infinity());
  choose();
}

void LoadPointSearch::open(std::int64_t low, std::int64_t high, double missed) {
  const bool wide = high - low >= 2 * unit_ && static_cast<double>(high - low) >
                                                   rules_.least_share * static_cast<double>(high);
  if (wide) open_.push_back({low, high, missed});
}

void LoadPointSearch::choose() {
  probes_.clear();
  std::stable_sort(open_.begin(), open_.end(),
                   [](const auto& a, const auto& b) { return a.missed > b.missed; });
  const std::size_t left =
      rules_.max_load_points - std::min(rules_.max_load_points, load_points_.size());
  for (std::size_t i = 0; i < std::min(left, open_.size()); ++i) {
    const auto [low, high, missed] = open_[i];
    const auto units = static_cast<double>(high - low) / static_cast<double>(unit_);
    const auto step = std::max<std::int64_t>(1, std::llround(kGolden * units));
    probes_.push_back({low, (low / unit_ + step) * unit_, high});
  }
}

void LoadPointSearch::judge(std::span<const double> missed) {
  open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(probes_.size()));
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    const auto [low, at, high] = probes_[i];
    if (missed[i] <= rules_.tolerance) continue;
    load_points_.insert(std::upper_bound(load_points_.begin(), load_points_.end(), at), at);
    open(low, at, missed[i]);
    open(at, high, missed[i]);
  }
  choose();
}

double missed_by(const Probe& probe, const ProbeReadings& readings) {
  const double share = within(probe);
  double least = std::numeric_limits<double>::infinity();
  int side = 0;
  for (std::size_t i = 0; i < readings.at.size(); ++i) {
    const double line = readings.low[i] + share * (readings.high[i] - readings.low[i]);
    const double off = readings.at[i] > 0 ? (readings.at[i] - line) / readings.at[i] : 0;
    const int now = off > 0 ? 1 : -1;
    if (side != 0 && now != side) return 0;
    side = now;
    least = std::min(least, std::abs(off));
  }
  return std::isfinite(least) ? least : 0;
}

}  // namespace gembench::inline profiler
