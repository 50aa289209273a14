#include "harness/report/probe_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "placement/base/index.hpp"

namespace gembench::inline report {
namespace {

/// [rank][round] at the load.
std::vector<std::vector<double>> readings_of(const ProfileFile& now) {
  std::vector<std::vector<double>> readings;
  for (int rank = 0; rank < now.profile.ranks; ++rank) {
    const auto first = now.samples.seconds.begin() +
                       static_cast<std::ptrdiff_t>(
                           (sz(rank) * now.samples.points + now.profile.load_points.size() - 1) *
                           now.samples.rounds);
    readings.emplace_back(first, first + static_cast<std::ptrdiff_t>(now.samples.rounds));
  }
  return readings;
}

/// [rank] seconds of earlier probes.
std::vector<std::vector<double>> pasts_of(int ranks, const ProfileHistory& history) {
  std::vector<std::vector<double>> pasts(sz(ranks));
  for (const DeviceHistory& device : history.devices) {
    if (!device.rank || device.seconds.empty()) continue;
    pasts[sz(*device.rank)].assign(device.seconds.begin(), device.seconds.end() - 1);
  }
  return pasts;
}

/// The largest over ranks that were compared and are not slow: 0 where all are slow, infinite where
/// none was compared.
double largest_resolution(const std::vector<ProbeVerdict::Rank>& ranks,
                          Slowness ProbeVerdict::Rank::*which) {
  bool compared = false;
  double most = 0;
  for (const auto& rank : ranks) {
    if (std::isnan((rank.*which).slower)) continue;
    compared = true;
    if (!(rank.*which).slow) most = std::max(most, (rank.*which).resolution);
  }
  return compared ? most : std::numeric_limits<double>::infinity();
}

std::string in_percent(double share) {
  return fmt::format("{:.1f} %", share * 100);
}

std::string device_of_rank(const ProfileFile& file, std::size_t rank) {
  const auto hosts = file.rank_facts.find("host"), ids = file.rank_facts.find("device_id");
  std::string name = fmt::format("rank {}", rank);
  if (hosts == file.rank_facts.end()) return name;
  const bool gpu = ids != file.rank_facts.end() &&
                   (ids->second[rank].starts_with("GPU-") || ids->second[rank].starts_with("MIG-"));
  return name + fmt::format(" ({}{})", hosts->second[rank], gpu ? ", " + ids->second[rank] : "");
}

std::string slower(const Slowness& found, const std::string& than, bool emulated) {
  return fmt::format("{} slower than {} (95 % CI {:+.1f} .. {:+.1f} %{})", in_percent(found.slower),
                     than, found.low * 100, found.high * 100, emulated ? ", emulated" : "");
}

/// How two kinds of comparison are spoken of.
struct Words {
  const char *than, *independent, *remedy;
};
constexpr Words kOthers{"the others", "rounds", "measure longer with --max-seconds"};
constexpr Words kPast{"it was", "probes", "keep more earlier probes"};

/// That no rank of `who` is slower, or that it cannot be told.
std::string not_found(bool some_slow, const std::string& who, const Words& words, double limit,
                      double resolution) {
  if (resolution > limit) {
    return fmt::format("{} rank{} that is less than {} slower than {} could have been missed; {}",
                       some_slow ? "another" : "a", who, in_percent(resolution), words.than,
                       words.remedy);
  }
  return fmt::format(
      "no {}rank{} is {} slower than {}: such a probe finds one that is in about 9 of 10 cases if "
      "{} are independent",
      some_slow ? "other " : "", who, in_percent(limit), words.than, words.independent);
}

bool any_slow(const ProbeVerdict& verdict, Slowness ProbeVerdict::Rank::*which) {
  return std::ranges::any_of(verdict.ranks, [&](const auto& rank) { return (rank.*which).slow; });
}

void say_others(const ProbeVerdict& verdict, std::vector<std::string>& sentences) {
  if (verdict.ranks.size() < 2 || verdict.others_resolution == 0) return;
  if (std::isinf(verdict.others_resolution)) {
    sentences.push_back(
        fmt::format("cannot tell whether a rank is slower than the others: {} rounds are too few; "
                    "give more --max-seconds, fewer --tokens or a larger --scale",
                    verdict.rounds));
    return;
  }
  sentences.push_back(not_found(any_slow(verdict, &ProbeVerdict::Rank::others), "", kOthers,
                                verdict.limit, verdict.others_resolution));
}

void say_past(const ProbeVerdict& verdict, std::vector<std::string>& sentences) {
  if (!verdict.with_history) return;
  std::size_t compared = 0, most = 0;  // most: earlier probes of a rank that was not
  for (const auto& rank : verdict.ranks) {
    if (std::isnan(rank.past.slower))
      most = std::max(most, rank.earlier);
    else
      ++compared;
  }
  const std::size_t ranks = verdict.ranks.size();
  if (compared > 0 && verdict.past_resolution > 0) {
    sentences.push_back(
        not_found(any_slow(verdict, &ProbeVerdict::Rank::past),
                  compared < ranks ? fmt::format(" of {} with earlier probes", compared) : "",
                  kPast, verdict.limit, verdict.past_resolution));
  }
  if (compared < ranks) {
    sentences.push_back(fmt::format(
        "cannot tell whether {} is slower than it was: the history holds {} of the {} earlier "
        "probes that it takes",
        compared == 0           ? "a rank"
        : compared + 1 == ranks ? "the other rank"
                                : fmt::format("one of the other {} ranks", ranks - compared),
        most, kLeastPast));
  }
  sentences.insert(sentences.end(), verdict.left_out.begin(), verdict.left_out.end());
}

}  // namespace

double ProbeVerdict::resolution() const {
  double most = 0;
  for (const Rank& rank : ranks) {
    if (!rank.slow()) most = std::max(most, std::min(rank.others.resolution, rank.past.resolution));
  }
  return most;
}

ExitCode ProbeVerdict::code() const {
  if (std::ranges::any_of(ranks, [](const Rank& rank) { return rank.slow(); }))
    return ExitCode::failed;
  return resolution() > limit ? ExitCode::insufficient_evidence : ExitCode::ok;
}

ProbeVerdict judge_probe(const ProfileFile& now, const std::optional<ProfileHistory>& history,
                         double limit) {
  ProbeVerdict verdict;
  verdict.limit = limit;
  verdict.ranks.resize(sz(now.profile.ranks));
  std::vector<std::vector<double>> pasts(verdict.ranks.size());
  if (history) {
    verdict.with_history = true;
    verdict.left_out = notes_on_files(*history);
    pasts = pasts_of(now.profile.ranks, *history);
  }
  SlownessQuestion question{limit, verdict.ranks.size() > 1 ? verdict.ranks.size() : 0};
  for (const auto& past : pasts) question.answers += past.size() < kLeastPast ? 0 : 1;
  question.answers = std::max<std::size_t>(1, question.answers);
  const auto readings = readings_of(now);
  const auto others = slower_than_others(readings, question);
  for (std::size_t rank = 0; rank < verdict.ranks.size(); ++rank) {
    const double seconds =
        now.profile.at(static_cast<int>(rank), now.profile.load_points.size() - 1);
    verdict.ranks[rank] = {others[rank], slower_than_past(pasts[rank], seconds, question),
                           pasts[rank].size()};
  }
  verdict.rounds = static_cast<std::size_t>(
      std::ranges::count_if(readings.front(), [](double seconds) { return seconds > 0; }));
  verdict.others_resolution = largest_resolution(verdict.ranks, &ProbeVerdict::Rank::others);
  verdict.past_resolution = largest_resolution(verdict.ranks, &ProbeVerdict::Rank::past);
  return verdict;
}

std::vector<std::string> findings(const ProfileFile& now, const ProbeVerdict& verdict) {
  std::vector<std::string> sentences;
  for (std::size_t rank = 0; rank < verdict.ranks.size(); ++rank) {
    const auto& found = verdict.ranks[rank];
    const bool emulated = now.profile.slowdown[rank] > 1;
    if (found.others.slow)
      sentences.push_back(fmt::format("{} is slow: {}", device_of_rank(now, rank),
                                      slower(found.others, "the others", emulated)));
    if (found.past.slow)
      sentences.push_back(fmt::format(
          "{} has become slow: {}", device_of_rank(now, rank),
          slower(found.past, fmt::format("in {} earlier probes", found.earlier), emulated)));
  }
  say_others(verdict, sentences);
  say_past(verdict, sentences);
  return sentences;
}

}  // namespace gembench::inline report
