#include "placement/speeds/reliability.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline speeds {
namespace {

constexpr std::size_t kLeastInBlock = 3;  // readings of a point before a block of rounds counts
constexpr std::size_t kMostBlocks = 8;    // so that a block is longer than most disturbances
constexpr double kSameStretch = 1e-9;     // emulated slowdowns that differ by less are the same

using Logs = std::vector<double>;  // [rank]

/// [rank] mean over the points in [0, points) at which all ranks take time of the log of
/// `latency(rank, point)` minus the ranks' mean log.
template <class Latency>
Logs centred_logs(int ranks, std::size_t points, Latency latency) {
  Logs sums(static_cast<std::size_t>(ranks), 0.0);
  std::size_t counted = 0;
  for (std::size_t point = 0; point < points; ++point) {
    Logs logs;
    for (int rank = 0; rank < ranks; ++rank) logs.push_back(std::log(latency(rank, point)));
    if (!std::ranges::all_of(logs, [](double log) { return std::isfinite(log); })) continue;
    const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / ranks;
    for (std::size_t rank = 0; rank < logs.size(); ++rank) sums[rank] += logs[rank] - mean;
    ++counted;
  }
  for (double& sum : sums) sum /= static_cast<double>(std::max<std::size_t>(counted, 1));
  return sums;
}

/// Means over rows of the same ranks.
Logs mean_of(const std::vector<Logs>& rows) {
  Logs mean(rows.front().size(), 0.0);
  for (const Logs& row : rows)
    for (std::size_t rank = 0; rank < row.size(); ++rank)
      mean[rank] += row[rank] / static_cast<double>(rows.size());
  return mean;
}

/// Mean square of rows about their mean: the variance of one row's value. Rows are centred over
/// ranks, which takes one degree of freedom each.
double within(const std::vector<Logs>& rows) {
  const Logs mean = mean_of(rows);
  double sum = 0;
  for (const Logs& row : rows)
    for (std::size_t rank = 0; rank < row.size(); ++rank)
      sum += std::pow(row[rank] - mean[rank], 2);
  return sum / static_cast<double>((rows.size() - 1) * (mean.size() - 1));
}

void require_own(const Profile& profile, const ProfileSamples& samples) {
  if (samples.points == 0) return;
  const std::size_t held =
      checked_product({samples.ranks, static_cast<std::int64_t>(samples.points),
                       static_cast<std::int64_t>(samples.rounds)},
                      "the profile's samples");
  if (samples.ranks != profile.ranks || samples.points < profile.load_points.size() ||
      samples.seconds.size() != held)
    throw usage_error("the profile's samples are not of its ranks and loads; measure it again");
}

double reading(const ProfileSamples& samples, int rank, std::size_t point, std::size_t round) {
  return samples
      .seconds[(static_cast<std::size_t>(rank) * samples.points + point) * samples.rounds + round];
}

/// [load point above 0] the rounds in which all ranks measured it; without points that have fewer
/// than two blocks of them.
std::map<std::size_t, std::vector<std::size_t>> shared_rounds(const Profiled& now) {
  std::map<std::size_t, std::vector<std::size_t>> rounds;
  for (std::size_t point = 1; point < now.profile.load_points.size(); ++point) {
    std::vector<std::size_t> shared;
    for (std::size_t round = 0; round < now.samples.rounds; ++round) {
      bool measured = true;
      for (int rank = 0; measured && rank < now.profile.ranks; ++rank)
        measured = reading(now.samples, rank, point, round) > 0;
      if (measured) shared.push_back(round);
    }
    if (shared.size() >= 2 * kLeastInBlock) rounds[point] = std::move(shared);
  }
  return rounds;
}

/// Variance of a log slowdown by the scatter between blocks of consecutive rounds; 0 if not known.
double noise_of_rounds(const Profiled& now) {
  if (now.samples.points == 0) return 0;
  const auto rounds = shared_rounds(now);
  if (rounds.empty()) return 0;
  std::size_t blocks = kMostBlocks;
  std::vector<std::size_t> points;
  for (const auto& [point, shared] : rounds) {
    blocks = std::min(blocks, shared.size() / kLeastInBlock);
    points.push_back(point);
  }
  std::vector<Logs> rows;
  for (std::size_t block = 0; block < blocks; ++block) {
    rows.push_back(centred_logs(now.profile.ranks, points.size(), [&](int rank, std::size_t at) {
      const auto& shared = rounds.at(points[at]);
      std::vector<double> readings;
      for (std::size_t i = block * shared.size() / blocks; i < (block + 1) * shared.size() / blocks;
           ++i)
        readings.push_back(reading(now.samples, rank, points[at], shared[i]));
      return quantile(std::move(readings), 0.5);
    }));
  }
  return within(rows) / static_cast<double>(blocks);
}

void require_same_ranks(const Profile& now, const OlderProfile& older) {
  validate(older.profile);
  require_comparable(older.profile, now);
  std::vector<int> ranks = older.rank_then;
  std::ranges::sort(ranks);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    if (ranks[rank] != static_cast<int>(rank))
      throw usage_error("an older profile's ranks are not those of the new one; name each once");
  if (static_cast<int>(ranks.size()) != now.ranks)
    throw usage_error(fmt::format("an older profile has {} of {} ranks; name each once",
                                  ranks.size(), now.ranks));
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const double then = older.profile.slowdown[static_cast<std::size_t>(older.rank_then[rank])];
    if (std::abs(then - now.slowdown[rank]) > kSameStretch)
      throw usage_error(
          fmt::format("the profiles cannot be compared: the emulated slowdown of rank {} is {:.4g} "
                      "in the old one and {:.4g} in the new one; measure with the same options as "
                      "then",
                      rank, then, now.slowdown[rank]));
  }
}

/// [profile][rank] at the new profile's loads that all of them cover; the first is the new one.
std::vector<Logs> logs_of(const Profile& now, std::span<const OlderProfile> older) {
  std::int64_t most = now.load_points.back();
  for (const OlderProfile& one : older) most = std::min(most, one.profile.load_points.back());
  const auto covered = static_cast<std::size_t>(std::ranges::upper_bound(now.load_points, most) -
                                                now.load_points.begin());
  if (covered < 2)
    throw usage_error("the profiles have no load in common; measure with the same options");
  std::vector<Logs> logs{centred_logs(now.ranks, covered - 1, [&](int rank, std::size_t point) {
    return now.at(rank, point + 1);
  })};
  for (const OlderProfile& one : older) {
    Profile bare = one.profile;
    std::ranges::fill(bare.overhead, 0.0);
    const CostModel then(bare);
    logs.push_back(centred_logs(now.ranks, covered - 1, [&](int rank, std::size_t point) {
      return then.seconds(one.rank_then[static_cast<std::size_t>(rank)],
                          now.load_points[point + 1]);
    }));
  }
  return logs;
}

bool are_gpus(const std::vector<std::string>& devices, int ranks) {
  const std::set<std::string> each(devices.begin(), devices.end());
  return static_cast<int>(devices.size()) == ranks && each.size() == devices.size() &&
         std::ranges::all_of(devices, [](const auto& id) { return id.starts_with("GPU-"); });
}

}  // namespace

std::vector<double> log_slowdowns(const Profile& profile) {
  validate(profile);
  return centred_logs(profile.ranks, profile.load_points.size() - 1,
                      [&](int rank, std::size_t point) { return profile.at(rank, point + 1); });
}

std::vector<int> same_ranks(const std::vector<std::string>& then,
                            const std::vector<std::string>& now, int ranks) {
  std::vector<int> found(checked_product({ranks}, "the ranks"));
  std::iota(found.begin(), found.end(), 0);
  if (!are_gpus(then, ranks) || !are_gpus(now, ranks)) return found;
  for (std::size_t rank = 0; rank < now.size(); ++rank) {
    const auto at = std::ranges::find(then, now[rank]);
    if (at == then.end())
      throw usage_error(
          fmt::format("an older profile has no {}, the GPU of rank {}; leave it out of --history",
                      now[rank], rank));
    found[rank] = static_cast<int>(at - then.begin());
  }
  return found;
}

Reliability reliability(const Profiled& now, std::span<const OlderProfile> older) {
  validate(now.profile);
  require_own(now.profile, now.samples);
  for (const OlderProfile& one : older) require_same_ranks(now.profile, one);
  Reliability found;
  found.profiles = static_cast<int>(older.size()) + 1;
  if (now.profile.ranks < 2) return found;
  const std::vector<Logs> logs = logs_of(now.profile, older);
  const Logs mean = mean_of(logs);
  const auto profiles = static_cast<double>(logs.size());
  const auto free = static_cast<double>(mean.size() - 1);
  const double between =
      profiles * std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0) / free;
  found.passing = std::max(noise_of_rounds(now), older.empty() ? 0.0 : within(logs));
  const double lasting = std::max(0.0, (between - found.passing) / profiles);
  if (found.passing > 0) found.rho = lasting / (lasting + found.passing);
  return found;
}

Shrunk shrink(Profile profile, double rho) {
  if (!(rho >= 0 && rho <= 1))
    throw usage_error(fmt::format("a reliability of {}; give 0 to 1", rho));
  const std::vector<double> logs = log_slowdowns(profile);
  Shrunk shrunk{std::move(profile), 0};
  for (std::size_t rank = 0; rank < logs.size(); ++rank) {
    const double factor = std::exp((rho - 1) * logs[rank]);
    stretch(shrunk.profile, static_cast<int>(rank), factor);
    shrunk.largest = std::max(shrunk.largest, std::abs(factor - 1));
  }
  return shrunk;
}

}  // namespace gembench::inline speeds
