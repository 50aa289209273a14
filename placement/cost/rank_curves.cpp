#include "placement/cost/rank_curves.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gembench::inline cost {

RankCurves::RankCurves(const CostModel& cost)
    : ranks_(cost.ranks()), load_points_(cost.load_points().begin(), cost.load_points().end()) {
  for (int rank = 0; rank < ranks_; ++rank) {
    const auto first = static_cast<std::ptrdiff_t>(seconds_.size());
    const auto latency = cost.latency(rank);
    seconds_.insert(seconds_.end(), latency.begin(), latency.end());
    for (auto one = seconds_.begin() + first + 1; one < seconds_.end(); ++one)
      *one = std::max(*one, *(one - 1));
    const auto* own = seconds_.data() + first;
    double slope = 0;
    for (std::size_t k = 0; k + 1 < load_points_.size(); ++k) {
      slope = (own[k + 1] - own[k]) / (load_points_[k + 1] - load_points_[k]);
      slope_.push_back(slope);
    }
    slope_.push_back(slope);  // continued beyond the last
  }
}

double RankCurves::seconds(int rank, std::int64_t tokens) const {
  const auto x = static_cast<double>(tokens);
  const auto k = static_cast<std::size_t>(
      std::upper_bound(load_points_.begin() + 1, load_points_.end(), x) - load_points_.begin() - 1);
  const auto cell = static_cast<std::size_t>(rank) * load_points_.size() + k;
  return seconds_[cell] + slope_[cell] * (x - load_points_[k]);
}

double RankCurves::load_within(int rank, double seconds) const {
  const auto* own = of(rank);
  const auto* above = std::upper_bound(own, own + load_points_.size(), seconds);
  if (above == own) return -1;
  const auto k = static_cast<std::size_t>(above - own - 1);
  const auto slope = slope_[static_cast<std::size_t>(rank) * load_points_.size() + k];
  if (slope <= 0) return std::numeric_limits<double>::infinity();  // beyond the last load point
  return load_points_[k] + (seconds - own[k]) / slope;
}

std::int64_t RankCurves::tokens_within(int rank, double level) const {
  const auto load = load_within(rank, level);
  if (load < 0) return -1;
  if (load >= static_cast<double>(kEndless)) return kEndless;
  auto tokens = static_cast<std::int64_t>(load);
  // One token more or less by rounding.
  if (seconds(rank, tokens + 1) <= level) return tokens + 1;
  if (tokens > 0 && seconds(rank, tokens) > level) --tokens;
  return tokens;
}

double RankCurves::least_seconds(std::span<const std::int32_t> some, std::int64_t tokens,
                                 double from) const {
  // Both ends move to where some rank's whole tokens change, so they meet.
  double next = 0;     // the least time after a guess at which a rank takes one more token
  double reached = 0;  // the latest time up to a guess at which a rank finishes its last
  const auto fits = [&](double guess) {
    std::int64_t sum = 0;
    next = std::numeric_limits<double>::infinity();
    reached = from;
    for (const auto rank : some) {
      const auto most = tokens_within(rank, guess);
      sum += std::max<std::int64_t>(0, most);
      if (most >= 0) reached = std::max(reached, seconds(rank, most));
      if (most < kEndless) next = std::min(next, seconds(rank, most + 1));
    }
    return sum >= tokens;
  };
  if (fits(from)) return from;
  double low = next;
  double high = low;
  for (const auto rank : some) high = std::max(high, seconds(rank, tokens));
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    const auto guess = middle < high ? middle : low;  // between neighbours it may round up
    if (fits(guess))
      high = std::min(guess, reached);
    else
      low = std::max(next, std::nextafter(guess, high));
  }
  return high;
}

}  // namespace gembench::inline cost
