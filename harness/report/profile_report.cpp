#include "harness/report/profile_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/gpu_findings.hpp"
#include "harness/report/numbers.hpp"
#include "harness/run/workload.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

/// One point of one rank as all formats show it.
struct Shown {
  std::int64_t tokens = 0;
  int active = 0;  ///< experts
  Median median;
  const char* ended = "";
  bool routed = false;  ///< uneven: each rank has tokens and experts of its own
};

std::size_t points_of(const Profile& profile) {
  return profile.load_points.size() + profile.active.points() + profile.routed.points;
}

Shown show(const ProfileFile& file, int rank, std::size_t point) {
  const Profile& profile = file.profile;
  const std::size_t load_points = profile.load_points.size(),
                    even = load_points + profile.active.points();
  Shown shown;
  double latency = 0;
  if (point < load_points) {
    shown.tokens = profile.load_points[point];
    shown.active = profile.slots;
    latency = profile.at(rank, point);
  } else if (point < even) {
    shown.tokens = profile.active.load_at(point - load_points);
    shown.active = profile.active.active_at(point - load_points);
    latency = profile.active.at(rank, point - load_points);
  } else {
    for (const auto tokens : profile.routed.of(rank, point - even, profile.slots)) {
      shown.tokens += tokens;
      shown.active += tokens > 0 ? 1 : 0;
    }
    latency = profile.routed.at(rank, point - even);
    shown.routed = true;
  }
  if (file.samples.points > 0) {
    shown.median = median_of(file.samples.of(rank, point));
    shown.ended = shown.median.half_width() <= kTight ? "tight" : "budget";
    // The range of so few readings is no 95 % interval.
    if (shown.median.readings < Median::kLeastReadings) shown.median.low = shown.median.high = NAN;
  } else {
    shown.median.value = latency;
    shown.median.low = shown.median.high = NAN;
  }
  return shown;
}

std::string percent(const Median& median) {
  const double half = (median.high - median.low) / 2 / median.value * 100;
  return std::isfinite(half) ? fmt::format("{:.1f}", half) : "-";
}

std::string cell(const Shown& shown) {
  return fmt::format(
      "{} +-{:>4}%{}{:>4}",
      std::isnan(shown.median.value) ? "-" : fmt::format("{:.1f}", shown.median.value * 1e6),
      percent(shown.median), shown.ended == std::string_view("budget") ? "*" : " ",
      shown.median.outliers > 0 ? fmt::format("{}o", shown.median.outliers) : "");
}

std::string told(double value, double unit) {
  return std::isnan(value) ? "-" : fmt::format("{:.0f}", value / unit);
}

std::string devices(const ProfileFile& file) {
  if (file.rank_facts.empty()) return {};
  std::string text = "# rank  node  device  MHz, degC, W before -> after\n";
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(file.profile.ranks); ++rank) {
    text += fmt::format("# {:>4} ", rank);
    for (const char* name : {"host", "device_name", "device_id"}) {
      const auto fact = file.rank_facts.find(name);
      if (fact != file.rank_facts.end()) text += fmt::format(" {}", fact->second[rank]);
    }
    if (rank < file.before.size() && rank < file.after.size()) {
      const auto state = [](const GpuReading& r) {
        return fmt::format("{}, {}, {}", told(r.clock, 1e6), told(r.temperature, 1),
                           told(r.power, 1));
      };
      text += fmt::format("  {} -> {}", state(file.before[rank]), state(file.after[rank]));
    }
    text += '\n';
  }
  return text;
}

std::string table(const ProfileFile& file, std::size_t first, std::size_t last) {
  std::string text;
  for (std::size_t point = first; point < last; ++point) {
    const Shown of_first = show(file, 0, point);
    text += of_first.routed ? fmt::format("{:>16}", "")
                            : fmt::format("{:>8} {:>7}", of_first.tokens, of_first.active);
    for (int rank = 0; rank < file.profile.ranks; ++rank) {
      const Shown shown = show(file, rank, point);
      text +=
          fmt::format(" {:>24}", of_first.routed ? fmt::format("{}: {}", shown.tokens, cell(shown))
                                                 : cell(shown));
    }
    text += '\n';
  }
  return text;
}

std::string fit_line(const Profile& profile) {
  if (profile.slots == 0) return {};
  const FitError tokens = CostModel(profile).fit_error(),
                 experts = CostModel(profile, CostKind::per_expert, profile.slots).fit_error();
  return fmt::format(
      "# cost model 'sum' is off by {:.1f} % on average and {:.1f} % at most over both sweeps, "
      "'per-expert' by {:.1f} and {:.1f} %\n",
      tokens.mean * 100, tokens.worst * 100, experts.mean * 100, experts.worst * 100);
}

/// What --cost auto goes by.
std::string choice_line(const Profile& profile) {
  const CostChoice choice = choose_cost(profile);
  return fmt::format("# cost model by --cost auto: '{}', {}\n", name_of(choice.kind),
                     describe(choice, choice.kind));
}

std::string as_table(const ProfileFile& file, const std::vector<std::string>& sentences,
                     const std::vector<std::string>& header) {
  const Profile& profile = file.profile;
  std::string text;
  for (const auto& line : header) text += fmt::format("# {}\n", line);
  text += devices(file);
  if (file.samples.points > 0) {
    text += fmt::format("# {} warm-up rounds ({}), at most {} rounds, {:.1f} s, ended {}\n",
                        file.warmup_rounds, file.warm ? "the last two agreed" : "not yet steady",
                        file.samples.rounds, file.seconds,
                        file.tight ? "when every median was tight" : "by the budget");
  }
  text += fmt::format(
      "# median us of the expert phase, +- half its 95 % interval; * = not within {:g} % when the "
      "budget ended; 3o = 3 outliers\n#{:>7} {:>7}",
      kTight * 100, "tokens", "experts");
  for (int rank = 0; rank < profile.ranks; ++rank) {
    text += fmt::format(" {:>24}", fmt::format("rank {}", rank));
  }
  const std::size_t even = profile.load_points.size() + profile.active.points();
  text += '\n' + table(file, 0, profile.load_points.size());
  if (!profile.active.empty()) {
    text += "# fewer experts active\n" + table(file, profile.load_points.size(), even);
  }
  if (!profile.routed.empty()) {
    text += "# loads as the trace routes them, uneven over experts, \"tokens: latency\"\n" +
            table(file, even, points_of(profile));
  }
  text += "# overhead";
  for (const double seconds : profile.overhead) text += fmt::format(" {:.1f}", seconds * 1e6);
  text += " us a layer (route and shared experts)\n# slowdown, emulated:";
  for (const double s : profile.slowdown) text += fmt::format(" {:.3f}", s);
  text += '\n' + fit_line(profile) + choice_line(profile);
  for (const auto& sentence : sentences) text += fmt::format("# {}\n", sentence);
  return text;
}

std::string as_csv(const ProfileFile& file) {
  std::string text = "rank,tokens,experts,median,low,high,readings,outliers,ended,routed\n";
  for (int rank = 0; rank < file.profile.ranks; ++rank) {
    for (std::size_t point = 0; point < points_of(file.profile); ++point) {
      const auto [tokens, active, median, ended, routed] = show(file, rank, point);
      const auto known = [](double v) { return std::isfinite(v) ? fmt::format("{:.6g}", v) : ""; };
      text += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", rank, tokens, active,
                          known(median.value), known(median.low), known(median.high),
                          median.readings, median.outliers, ended, routed ? 1 : 0);
    }
  }
  return text;
}

ordered_json ranks_json(const ProfileFile& file) {
  const auto speeds = judge_speeds(file.profile, file.samples);
  ordered_json ranks = ordered_json::array();
  for (int rank = 0; rank < file.profile.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    ordered_json one{{"rank", rank}};
    for (const auto& [name, values] : file.rank_facts) one[name] = values[r];
    one["overhead"] = file.profile.overhead[r];
    one["emulated_slowdown"] = file.profile.slowdown[r];
    one["slower"] = speeds[r].slower;
    one["noise"] = speeds[r].noise;
    one["slow"] = speeds[r].slow;
    one["slowing"] = speeds[r].slowing;
    one["fail_slow"] = speeds[r].fail_slow;
    for (std::size_t point = 0; point < points_of(file.profile); ++point) {
      const auto [tokens, active, median, ended, routed] = show(file, rank, point);
      one["points"].push_back({{"tokens", tokens},
                               {"experts", active},
                               {"median", json_number(median.value)},
                               {"low", json_number(median.low)},
                               {"high", json_number(median.high)},
                               {"readings", median.readings},
                               {"outliers", median.outliers},
                               {"ended", ended},
                               {"routed", routed}});
    }
    ranks.push_back(std::move(one));
  }
  return ranks;
}

ordered_json comparison_json(const ProfileComparison& comparison) {
  const ProfileDrift& drift = comparison.drift;
  ordered_json all{{"old", comparison.old_file},
                   {"common", drift.common},
                   {"shared", drift.shared},
                   {"noise", drift.noise},
                   {"other_machine", comparison.other_machine},
                   {"ranks", ordered_json::array()}};
  for (const RankDrift& rank : drift.ranks) {
    all["ranks"].push_back({{"change", rank.change},
                            {"low", rank.low},
                            {"high", rank.high},
                            {"relative", rank.relative},
                            {"drifted", rank.drifted}});
  }
  if (const auto& replan = comparison.replan) {
    all["replan"] = {{"pays", replan->pays},
                     {"before", replan->before},
                     {"after", replan->after},
                     {"moves", replan->moves},
                     {"move_seconds", replan->cost}};
  }
  return all;
}

/// Index and value of what a device has at every profile; null where it was not measured.
ordered_json speeds_json(const ProfileHistory& history, const DeviceHistory& device) {
  std::vector<double> all(history.profiles.size(), NAN);
  for (std::size_t i = 0; i < device.at.size(); ++i) all[device.at[i]] = device.slower[i];
  ordered_json values = ordered_json::array();
  for (const double value : all) values.push_back(json_number(value));
  return values;
}

ordered_json history_json(const ProfileHistory& history) {
  ordered_json profiles = ordered_json::array(), devices = ordered_json::array();
  for (const auto& [name, measured] : history.profiles) {
    profiles.push_back({{"file", name}, {"measured", measured}});
  }
  for (const DeviceHistory& device : history.devices) {
    ordered_json changes = ordered_json::array();
    for (const LevelShift& shift : device.changes) {
      changes.push_back({{"after", history.profiles[device.at[shift.first - 1]].measured},
                         {"since", history.profiles[device.at[shift.first]].measured},
                         {"change", std::expm1(shift.change)},
                         {"low", std::expm1(shift.low)},
                         {"high", std::expm1(shift.high)},
                         {"profiles_before", shift.before},
                         {"profiles_since", shift.since}});
    }
    devices.push_back({{"device", device.device},
                       {"rank", device.rank ? ordered_json(*device.rank) : ordered_json()},
                       {"slower", speeds_json(history, device)},
                       {"changes", changes}});
  }
  return {{"folder", history.folder},
          {"noise", history.noise},
          {"profiles", profiles},
          {"left_out", history.left_out},
          {"devices", devices}};
}

std::string as_json(const ProfileFile& file, const std::optional<ProfileComparison>& comparison,
                    const std::optional<ProfileHistory>& history,
                    const std::vector<std::string>& sentences) {
  const Profile& profile = file.profile;
  ordered_json all{{"model", profile.model},    {"device", profile.device},
                   {"clock", profile.clock},    {"unit", "s"},
                   {"measured", file.measured}, {"warmup_rounds", file.warmup_rounds},
                   {"warm", file.warm},         {"tight", file.tight},
                   {"seconds", file.seconds}};
  if (profile.slots > 0) {
    const auto fit = [](const FitError& error) {
      return ordered_json{{"mean", error.mean}, {"worst", error.worst}};
    };
    all["fit"] = {
        {"sum", fit(CostModel(profile).fit_error())},
        {"per-expert", fit(CostModel(profile, CostKind::per_expert, profile.slots).fit_error())}};
  }
  const CostChoice choice = choose_cost(profile);
  all["cost_model"] = name_of(choice.kind);
  if (choice.sum && choice.per_expert) {
    const auto error = [](const RoutedError& of) {
      return ordered_json{{"median", of.median}, {"worst", of.worst}, {"loads", of.loads}};
    };
    all["routed_error"] = {{"sum", error(*choice.sum)}, {"per-expert", error(*choice.per_expert)}};
  }
  all["findings"] = sentences;
  all["ranks"] = ranks_json(file);
  if (comparison) all["comparison"] = comparison_json(*comparison);
  if (history) all["history"] = history_json(*history);
  return all.dump(2) + '\n';
}

}  // namespace

std::vector<std::string> profile_header(const ProfileFile& file, const QuietReadings& quiet,
                                        const std::string& clock_reason, const std::string& model,
                                        const QuietWords& words) {
  std::vector<std::string> header = {
      fmt::format("{}  {}  clock {} ({})", file.program, file.profile.device, file.profile.clock,
                  clock_reason),
      model, "machine: " + quiet_line(quiet)};
  for (const std::string& warning : quiet_warnings(quiet, words)) {
    header.push_back("WARNING: " + warning);
  }
  if (const std::string unsteady = unsteady_sentence(file.soak, "the profile"); !unsteady.empty()) {
    header.push_back("WARNING: " + unsteady);
  }
  return header;
}

std::string profile_report(const ProfileFile& file,
                           const std::optional<ProfileComparison>& comparison,
                           const std::optional<ProfileHistory>& history,
                           const std::vector<std::string>& header, const std::string& format) {
  auto sentences = findings(file, comparison);
  if (history) {
    for (const std::string& sentence : findings(*history)) sentences.push_back(sentence);
  }
  if (format == "csv") return as_csv(file);
  if (format == "json") return as_json(file, comparison, history, sentences);
  return as_table(file, sentences, header);
}

}  // namespace gembench::inline report
