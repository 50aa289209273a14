#include "placement/cost/expert_curves.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gembench::inline cost {

ExpertCurves::ExpertCurves(const CostModel& cost, std::vector<double> extra)
    : cost_(cost), extra_(std::move(extra)), bends_(cost.expert_bends()) {
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    auto least = per_token(rank, bends_[0]);
    for (std::size_t k = 0; k < bends_.size(); ++k) {
      if (k > 0) least = std::min(least, least_between(rank, bends_[k - 1], bends_[k]));
      up_to_.push_back(least);
    }
  }
}

double ExpertCurves::least_from(int rank, std::int64_t tokens) const {
  // A product of two lines that are not below 0 is least at an end, and the last piece rises.
  auto least = cost_.expert_seconds(rank, tokens);
  for (auto bend = std::ranges::upper_bound(bends_, tokens); bend != bends_.end(); ++bend)
    least = std::min(least, cost_.expert_seconds(rank, *bend));
  return least;
}

double ExpertCurves::per_token(int rank, std::int64_t tokens) const {
  return (cost_.expert_seconds(rank, tokens) + extra_[static_cast<std::size_t>(rank)]) /
         static_cast<double>(tokens);
}

double ExpertCurves::least_between(int rank, std::int64_t low, std::int64_t high) const {
  const auto ends = std::min(per_token(rank, low), per_token(rank, high));
  if (high - low < 2) return ends;
  // a + b n + c n^2 through three points; divided by n it has a least value where c n^2 = a.
  const auto middle = low + (high - low) / 2;
  const auto x = static_cast<double>(low), y = static_cast<double>(middle),
             z = static_cast<double>(high);
  const double at_low = cost_.expert_seconds(rank, low);
  const double rise = (cost_.expert_seconds(rank, middle) - at_low) / (y - x);
  const double c = ((cost_.expert_seconds(rank, high) - at_low) / (z - x) - rise) / (z - y);
  const double a = at_low - rise * x + c * x * y + extra_[static_cast<std::size_t>(rank)];
  const double least = std::sqrt(a / c);  // no number, or out of range, where there is none
  if (!(least > x && least < z)) return ends;
  const auto whole = static_cast<std::int64_t>(least);
  return std::min({ends, per_token(rank, whole), per_token(rank, whole + 1)});
}

double ExpertCurves::least_per_token(int rank, std::int64_t most) const {
  const auto k = static_cast<std::size_t>(std::ranges::upper_bound(bends_, most) - bends_.begin());
  const auto below = up_to_[static_cast<std::size_t>(rank) * bends_.size() + k - 1];
  return std::min(below, least_between(rank, bends_[k - 1], most));
}

}  // namespace gembench::inline cost
