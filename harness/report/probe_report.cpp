#include "harness/report/probe_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/numbers.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

double median_of_rank(const ProfileFile& now, std::size_t rank) {
  return now.profile.at(static_cast<int>(rank), now.profile.load_points.size() - 1);
}

/// "+1.2 (-0.4 .. +2.7)"
std::string cell(const Slowness& found) {
  if (std::isnan(found.slower)) return "-";
  if (std::isnan(found.low)) return fmt::format("{:+.1f}", found.slower * 100);
  return fmt::format("{:+.1f} ({:+.1f} .. {:+.1f})", found.slower * 100, found.low * 100,
                     found.high * 100);
}

std::string fact(const ProfileFile& now, const char* name, std::size_t rank) {
  const auto found = now.rank_facts.find(name);
  return found == now.rank_facts.end() ? "-" : found->second[rank];
}

std::string as_table(const ProfileFile& now, const ProbeVerdict& verdict,
                     const std::vector<std::string>& sentences,
                     const std::vector<std::string>& header) {
  std::string text;
  for (const auto& line : header) text += fmt::format("# {}\n", line);
  text += fmt::format(
      "# {} rounds of {} (token, expert) pairs on every rank, {:.1f} s\n"
      "# slower %, against the median of the others in the same round and against earlier probes, "
      "with 95 % CI\n",
      verdict.rounds, now.profile.load_points.back(), now.seconds);
  text += fmt::format("#{:>5} {:>11} {:>26} {:>26} {:>5}  node, device\n", "rank", "median us",
                      "than the others", "than it was", "slow");
  for (std::size_t rank = 0; rank < verdict.ranks.size(); ++rank) {
    const auto& found = verdict.ranks[rank];
    text += fmt::format(" {:>5} {:>11.1f} {:>26} {:>26} {:>5}  {}, {} {}\n", rank,
                        median_of_rank(now, rank) * kUs, cell(found.others), cell(found.past),
                        found.slow() ? "slow" : "-", fact(now, "host", rank),
                        fact(now, "device_name", rank), fact(now, "device_id", rank));
  }
  for (const auto& sentence : sentences) text += fmt::format("# {}\n", sentence);
  return text;
}

ordered_json slowness_json(const Slowness& found) {
  if (std::isnan(found.slower)) return {};
  return {{"slower", found.slower},
          {"low", json_number(found.low)},
          {"high", json_number(found.high)},
          {"certain", json_number(found.certain)},
          {"resolution", json_number(found.resolution)},
          {"slow", found.slow}};
}

std::string as_json(const ProfileFile& now, const ProbeVerdict& verdict,
                    const std::vector<std::string>& sentences) {
  const ExitCode code = verdict.code();
  ordered_json ranks = ordered_json::array();
  for (std::size_t rank = 0; rank < verdict.ranks.size(); ++rank) {
    const auto& found = verdict.ranks[rank];
    ordered_json one{{"rank", rank}};
    for (const auto& [name, values] : now.rank_facts) one[name] = values[rank];
    one["emulated_slowdown"] = now.profile.slowdown[rank];
    one["median"] = median_of_rank(now, rank);
    one["slow"] = found.slow();
    one["others"] = slowness_json(found.others);
    one["past"] = slowness_json(found.past);
    one["earlier"] = found.earlier;
    ranks.push_back(std::move(one));
  }
  return ordered_json{{"verdict", code == ExitCode::failed ? "slow"
                                  : code == ExitCode::ok   ? "none slow"
                                                           : "cannot tell"},
                      {"slower_than", verdict.limit},
                      {"false_accusation", kFalseAccusation},
                      {"others_resolution", json_number(verdict.others_resolution)},
                      {"past_resolution", json_number(verdict.past_resolution)},
                      {"findings", sentences},
                      {"model", now.profile.model},
                      {"device", now.profile.device},
                      {"clock", now.profile.clock},
                      {"unit", "s"},
                      {"measured", now.measured},
                      {"load", now.profile.load_points.back()},
                      {"rounds", verdict.rounds},
                      {"seconds", now.seconds},
                      {"ranks", ranks},
                      {"left_out", verdict.left_out}}
             .dump(2) +
         '\n';
}

}  // namespace

std::string probe_report(const ProfileFile& now, const ProbeVerdict& verdict,
                         const std::vector<std::string>& header, const std::string& format) {
  const auto sentences = findings(now, verdict);
  return format == "json" ? as_json(now, verdict, sentences)
                          : as_table(now, verdict, sentences, header);
}

}  // namespace gembench::inline report
