#include "placement/speeds/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline speeds {
namespace {

// A time is 0 or between these, s: then sums, squares and slopes of times stay finite and above 0.
constexpr double kShortestTime = 1e-30;
constexpr double kLongestTime = 1e30;

void require_times(const std::vector<double>& values, std::size_t count, std::string_view what) {
  if (values.size() != count)
    throw usage_error(
        fmt::format("the profile holds {} values of {} where {} belong; measure it "
                    "again",
                    values.size(), what, count));
  for (auto value : values)
    if (!(value == 0 || (value >= kShortestTime && value <= kLongestTime)))
      throw usage_error(fmt::format("the profile's {} holds {}, which is no time; measure it again",
                                    what, value));
}

template <class T>
void require_ascending(const std::vector<T>& values, std::string_view what) {
  T last = 0;
  for (const auto value : values) {
    if (value <= last)
      throw usage_error(
          fmt::format("the profile's {} do not ascend from 1: {} follows {}; measure it again",
                      what, value, last));
    last = value;
  }
}

void validate_active(const Profile& profile) {
  const auto& active = profile.active;
  if (profile.slots < 0)
    throw usage_error(fmt::format("the profile has {} slots; measure it again", profile.slots));
  if (active.loads.empty() != active.active.empty())
    throw usage_error("the profile's active sweep lacks loads or experts; measure it again");
  require_ascending(active.loads, "active sweep's loads");
  require_ascending(active.active, "active experts");
  if (!active.empty() && active.active.back() > profile.slots)
    throw usage_error(fmt::format("the profile has {} active experts in {} slots; measure it again",
                                  active.active.back(), profile.slots));
  const auto cells = checked_product({profile.ranks, static_cast<std::int64_t>(active.loads.size()),
                                      static_cast<std::int64_t>(active.active.size())},
                                     "the profile's active sweep");
  require_times(active.latency, cells, "active latency");
}

void validate_routed(const Profile& profile) {
  const auto& routed = profile.routed;
  if (!routed.empty() && profile.slots < 1)
    throw usage_error("the profile has routed loads and no slots; measure it again");
  const auto points = static_cast<std::int64_t>(routed.points);
  require_times(routed.latency, checked_product({profile.ranks, points}, "the profile's loads"),
                "routed latency");
  const auto cells =
      checked_product({profile.ranks, points, profile.slots}, "the profile's routed loads");
  if (routed.tokens.size() != cells)
    throw usage_error(
        fmt::format("the profile holds {} tokens of routed loads where {} belong; measure it again",
                    routed.tokens.size(), cells));
  for (const auto tokens : routed.tokens)
    if (tokens < 0)
      throw usage_error(
          fmt::format("the profile's routed loads hold {} tokens; measure it again", tokens));
}

}  // namespace

void validate(const Profile& profile) {
  if (profile.ranks < 1)
    throw usage_error(fmt::format("the profile has {} ranks; measure at least 1", profile.ranks));
  if (profile.load_points.size() < 2)
    throw usage_error(fmt::format("the profile has {} load points; measure at least 2",
                                  profile.load_points.size()));
  if (profile.load_points.front() != 0)
    throw usage_error(fmt::format("the profile's first load point is {}; it must be 0 tokens",
                                  profile.load_points.front()));
  for (std::size_t k = 1; k < profile.load_points.size(); ++k)
    if (profile.load_points[k] <= profile.load_points[k - 1])
      throw usage_error(fmt::format("the profile's load points do not ascend: {} follows {}",
                                    profile.load_points[k], profile.load_points[k - 1]));
  const auto ranks = static_cast<std::size_t>(profile.ranks);
  const auto cells = checked_product(
      {profile.ranks, static_cast<std::int64_t>(profile.load_points.size())}, "the profile");
  require_times(profile.latency, cells, "latency");
  require_times(profile.spread, cells, "spread");
  require_times(profile.overhead, ranks, "overhead");
  require_times(profile.slowdown, ranks, "slowdown");
  validate_active(profile);
  validate_routed(profile);
}

void stretch(Profile& profile, int rank, double factor) {
  for (std::size_t k = 0; k < profile.load_points.size(); ++k)
    profile.latency[static_cast<std::size_t>(rank) * profile.load_points.size() + k] *= factor;
  for (std::size_t point = 0; point < profile.active.points(); ++point)
    profile.active.at(rank, point) *= factor;
  for (std::size_t point = 0; point < profile.routed.points; ++point)
    profile.routed.at(rank, point) *= factor;
}

Profile equal_ranks(int ranks, std::int64_t max_tokens) {
  if (ranks < 1 || max_tokens < 1)
    throw usage_error(
        fmt::format("{} ranks with up to {} tokens; give at least 1 of both", ranks, max_tokens));
  Profile profile;
  profile.ranks = ranks;
  profile.load_points = {0, max_tokens};
  const auto count = static_cast<std::size_t>(ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    profile.latency.push_back(0);
    profile.latency.push_back(static_cast<double>(max_tokens));
  }
  profile.spread.assign(2 * count, 0);
  profile.overhead.assign(count, 0);
  profile.slowdown.assign(count, 1);
  profile.model = "any";
  profile.device = "equal ranks, one second per token";
  profile.clock = "none";
  return profile;
}

CostModel::CostModel(const Profile& profile) : CostModel(profile, CostKind::sum, 1) {}

CostModel::CostModel(const Profile& profile, CostKind kind, int slots)
    : ranks_(profile.ranks),
      kind_(kind),
      slots_(kind == CostKind::per_expert && profile.slots > 0 ? profile.slots : slots),
      load_points_(profile.load_points),
      active_(profile.active) {
  validate(profile);
  if (slots < 1)
    throw usage_error(fmt::format(
        "a profile over {} experts per rank; give the number it was measured with", slots));
  latency_.reserve(profile.latency.size());
  for (int rank = 0; rank < ranks_; ++rank)
    for (std::size_t k = 0; k < load_points_.size(); ++k)
      latency_.push_back(profile.at(rank, k) + profile.overhead[static_cast<std::size_t>(rank)]);
  slope_.assign(latency_.size(), 0);
  for (std::size_t at = 0; at < latency_.size(); ++at) {
    const std::size_t k = at % load_points_.size();
    if (k == 0) continue;
    slope_[at] = (latency_[at] - latency_[at - 1]) /
                 static_cast<double>(load_points_[k] - load_points_[k - 1]);
  }
  for (int rank = 0; rank < ranks_; ++rank)
    for (std::size_t point = 0; point < active_.points(); ++point)
      active_.at(rank, point) += profile.overhead[static_cast<std::size_t>(rank)];
  if (kind_ == CostKind::per_expert) correct_by_active();
}

double CostModel::seconds(int rank, std::int64_t tokens) const {
  const auto* latency = latency_.data() + static_cast<std::size_t>(rank) * load_points_.size();
  // Right end of the piece; 1 for no tokens, the last load point for everything beyond it.
  const auto above = std::upper_bound(load_points_.begin() + 1, load_points_.end() - 1, tokens);
  const auto k = static_cast<std::size_t>(above - load_points_.begin());
  const auto slope = slope_[static_cast<std::size_t>(rank) * load_points_.size() + k];
  // Noise can make the last piece fall; far beyond it that would predict negative times.
  if (tokens > load_points_.back())
    return latency[k] + std::max(slope, 0.0) * static_cast<double>(tokens - load_points_[k]);
  return latency[k - 1] + slope * static_cast<double>(tokens - load_points_[k - 1]);
}

double CostModel::even_share(int rank, std::int64_t tokens) const {
  return std::max(0.0, seconds(rank, tokens * slots_) - seconds(rank, 0)) /
         static_cast<double>(slots_);
}

void CostModel::correct_by_active() {
  // With overhead o, m seconds for a experts of n tokens each say h(n) = (m - o) / a; the relative
  // error of m is a h(n) / m off, which gives the weight.
  struct Sums {
    double said = 0, weight = 0;
    void add(double experts, double seconds, double overhead) {
      if (seconds <= 0) return;
      said += experts * (seconds - overhead) / (seconds * seconds);
      weight += experts * experts / (seconds * seconds);
    }
  };
  std::vector<std::map<std::int64_t, Sums>> by_tokens(static_cast<std::size_t>(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) {
    auto& sums = by_tokens[static_cast<std::size_t>(rank)];
    const double overhead = seconds(rank, 0);
    for (std::size_t point = 0; point < active_.points(); ++point) {
      const auto load = active_.load_at(point), experts = std::int64_t{active_.active_at(point)};
      if (load % experts != 0) continue;  // two sizes of experts at once cannot be separated
      sums[load / experts].add(static_cast<double>(experts), active_.at(rank, point), overhead);
    }
    for (auto& [tokens, sum] : sums)
      if (tokens <= load_points_.back() / slots_)
        sum.add(slots_, seconds(rank, tokens * slots_), overhead);
  }
  for (const auto& [tokens, sum] : by_tokens.front()) corrected_at_.push_back(tokens);
  for (int rank = 0; rank < ranks_; ++rank)
    for (const auto& [tokens, sum] : by_tokens[static_cast<std::size_t>(rank)]) {
      const double even = even_share(rank, tokens);
      const bool known = even > 0 && sum.said > 0 && sum.weight > 0;
      correction_.push_back(known ? sum.said / sum.weight / even : 1);
    }
}

double CostModel::correction(int rank, std::int64_t tokens) const {
  if (corrected_at_.empty()) return 1;
  const auto* factor = correction_.data() + static_cast<std::size_t>(rank) * corrected_at_.size();
  const auto above = std::upper_bound(corrected_at_.begin(), corrected_at_.end(), tokens);
  const auto k = static_cast<std::size_t>(above - corrected_at_.begin());
  if (k == 0 || k == corrected_at_.size()) return factor[k == 0 ? 0 : k - 1];
  const auto low = corrected_at_[k - 1], high = corrected_at_[k];
  const double within = static_cast<double>(tokens - low) / static_cast<double>(high - low);
  return factor[k - 1] + within * (factor[k] - factor[k - 1]);
}

double CostModel::expert_seconds(int rank, std::int64_t tokens) const {
  return even_share(rank, tokens) * correction(rank, tokens);
}

std::vector<std::int64_t> CostModel::expert_bends() const {
  std::vector<std::int64_t> bends{1};
  for (const auto load : load_points_)  // whole numbers on both sides of the bend
    for (const auto tokens : {load / slots_, (load + slots_ - 1) / slots_})
      if (tokens > 1) bends.push_back(tokens);
  bends.insert(bends.end(), corrected_at_.begin(), corrected_at_.end());
  std::ranges::sort(bends);
  bends.erase(std::unique(bends.begin(), bends.end()), bends.end());
  return bends;
}

double CostModel::spread_seconds(int rank, std::int64_t tokens, int experts) const {
  if (kind_ == CostKind::sum) return seconds(rank, tokens);
  const auto more = tokens % experts;  // experts with one token more than the others
  return seconds(rank, 0) + static_cast<double>(more) * expert_seconds(rank, tokens / experts + 1) +
         static_cast<double>(experts - more) * expert_seconds(rank, tokens / experts);
}

double CostModel::rank_seconds(int rank, std::span<const std::int32_t> expert_tokens) const {
  if (kind_ == CostKind::sum)
    return seconds(rank,
                   std::accumulate(expert_tokens.begin(), expert_tokens.end(), std::int64_t{0}));
  double sum = seconds(rank, 0);
  for (auto tokens : expert_tokens) sum += expert_seconds(rank, tokens);
  return sum;
}

double CostModel::mean_slope(int rank) const {
  const auto* latency = latency_.data() + static_cast<std::size_t>(rank) * load_points_.size();
  return (latency[load_points_.size() - 1] - latency[0]) /
         static_cast<double>(load_points_.back() - load_points_.front());
}

FitError CostModel::fit_error() const {
  FitError error;
  std::size_t counted = 0;
  const auto add = [&](double measured, double predicted) {
    if (measured <= 0) return;
    const auto off = std::abs(predicted / measured - 1);
    error.mean += off;
    error.worst = std::max(error.worst, off);
    ++counted;
  };
  for (int rank = 0; rank < ranks_; ++rank) {
    for (std::size_t k = 0; k < load_points_.size(); ++k)
      add(latency(rank)[k], spread_seconds(rank, load_points_[k], slots_));
    for (std::size_t point = 0; point < active_.points(); ++point)
      add(active_.at(rank, point),
          spread_seconds(rank, active_.load_at(point), active_.active_at(point)));
  }
  if (counted > 0) error.mean /= static_cast<double>(counted);
  return error;
}

}  // namespace gembench::inline speeds
