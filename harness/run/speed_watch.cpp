#include "harness/run/speed_watch.hpp"

#include <algorithm>
#include <cmath>

#include "placement/base/index.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline run {
namespace {

constexpr std::size_t kBaseline = 2;  // segments before anything is judged
constexpr int kInARow = 2;

Profile without_overhead(Profile profile) {
  std::fill(profile.overhead.begin(), profile.overhead.end(), 0.0);
  return profile;
}

double median(std::vector<double> values) {
  return quantile(std::move(values), 0.5);
}

}  // namespace

SpeedWatch::SpeedWatch(const Profile& profile)
    : profile_(profile), cost_(without_overhead(profile)), factors_(sz(profile.ranks), 1.0) {}

std::vector<double> SpeedWatch::measured_factors(const SegmentRecord& block,
                                                 const RunShape& shape) const {
  const std::size_t ranks = sz(shape.ranks);
  const auto& seconds = block.time[time_at("expert_time")];
  const auto& tokens = block.count[count_at("assignments")];
  std::vector<double> factors;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::vector<double> ratios;
    for (std::size_t at = rank; at < seconds.size(); at += ranks) {
      const double expected = cost_.seconds(static_cast<int>(rank), tokens[at]);
      if (tokens[at] > 0 && expected > 0) ratios.push_back(seconds[at] / expected);
    }
    factors.push_back(ratios.empty() ? NAN : median(ratios));
  }
  // A rank without tokens has shown nothing: it stays as it was.
  std::vector<double> known;
  for (const double factor : factors) {
    if (std::isfinite(factor)) known.push_back(factor);
  }
  const double common = known.empty() ? 1 : median(known);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    factors[rank] = std::isfinite(factors[rank]) ? factors[rank] / common : factors_[rank];
  }
  return factors;
}

bool SpeedWatch::observe(const SegmentRecord& block, const RunShape& shape) {
  const auto now = measured_factors(block, shape);
  bool changed = false;
  if (history_.size() >= kBaseline) {
    for (std::size_t rank = 0; rank < now.size(); ++rank) {
      std::vector<double> before;
      for (const auto& segment : history_) before.push_back(segment[rank]);
      const double base = median(before);
      for (double& factor : before) factor = std::abs(factor - base);
      const double fluctuation = 1.4826 * median(before);  // of a normal one: its deviation
      changed |=
          std::abs(now[rank] / base - 1) > std::clamp(kNoise * fluctuation / base, kLeast, kMost);
    }
  }
  suspicious_ = changed ? suspicious_ + 1 : 0;
  if (changed) {
    // The change shows in these segments only: the mean of them, and no part of the baseline.
    for (std::size_t rank = 0; rank < now.size(); ++rank) {
      factors_[rank] = suspicious_ == 1 ? now[rank] : (factors_[rank] + now[rank]) / 2;
    }
  } else {
    history_.push_back(now);
    factors_ = now;
  }
  return suspicious_ >= kInARow;
}

Profile SpeedWatch::adopt() {
  Profile changed = profile_;
  for (int rank = 0; rank < changed.ranks; ++rank) stretch(changed, rank, factors_[sz(rank)]);
  history_.clear();
  suspicious_ = 0;
  return changed;
}

}  // namespace gembench::inline run
