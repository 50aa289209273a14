#include "harness/report/prometheus.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "harness/run/same_run.hpp"
#include "placement/base/index.hpp"
#include "placement/speeds/profile_verdict.hpp"

namespace gembench::inline report {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;
using RankFacts = std::map<std::string, std::vector<std::string>>;

std::string valid_text(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

/// With these characters escaped, line ends among them.
std::string escaped(const std::string& text, std::string_view characters) {
  std::string result;
  for (const char c : valid_text(text)) {
    const bool special = characters.find(c) != std::string_view::npos;
    if (special) result += '\\';
    result += special && c == '\n' ? 'n' : c;
  }
  return result;
}

std::string text_of(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// s since 1970; NaN for what is no time as utc_now() writes it.
double timestamp(const std::string& utc) {
  std::tm parts{};
  const char* end = strptime(utc.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return end != nullptr && *end == '\0' ? static_cast<double>(timegm(&parts)) : NAN;
}

/// The rank, its host and its device: a GPU's uuid, or the CPUs it may run on.
Labels rank_labels(const RankFacts& facts, int rank, const std::string& placement = "") {
  const auto fact = [&](const char* name) {
    const auto found = facts.find(name);
    return found == facts.end() ? std::string() : found->second[sz(rank)];
  };
  std::string device;
  for (const char* name : {"device_id", "gpu_uuid", "cpus"}) {
    if (device.empty()) device = fact(name);
  }
  return {{"placement", placement},
          {"rank", fmt::format("{}", rank)},
          {"host", fact("host")},
          {"device", device}};
}

/// `known` of every difference, and both ends of its interval.
void add_difference(std::vector<Metric>& metrics, const std::string& name, const std::string& help,
                    const std::vector<std::pair<Labels, Difference>>& differences) {
  Metric typical{name + "_ratio", help, {}},
      low{name + "_low_ratio", help + ", lower end of its 95 % interval", {}},
      high{name + "_high_ratio", help + ", upper end of its 95 % interval", {}};
  for (const auto& [labels, d] : differences) {
    typical.samples.push_back({labels, d.typical});
    low.samples.push_back({labels, d.low.value_or(NAN)});
    high.samples.push_back({labels, d.high.value_or(NAN)});
  }
  metrics.insert(metrics.end(), {typical, low, high});
}

}  // namespace

std::vector<Metric> metrics_of(const RunReader& file, const Comparison& comparison) {
  struct Row {
    const char *name, *help;
    SummaryKey key;
  };
  constexpr Row kRows[] = {
      {"gembench_step_seconds", "Time of a step, mean", "step_mean"},
      {"gembench_step_p99_seconds", "Time of a step, 99th percentile", "step_p99"},
      {"gembench_barrier_wait_ratio", "Share of a step that ranks wait at barriers", "wait_share"},
      {"gembench_tokens_per_second", "Tokens of a step by its time", "tokens_per_s"},
  };
  std::vector<Metric> metrics;
  for (const Row& row : kRows) {
    Metric& metric = metrics.emplace_back(Metric{row.name, row.help, {}});
    for (const PlacementSummary& placement : comparison.placements) {
      metric.samples.push_back({{{"placement", placement.label}}, placement[row.key]});
    }
  }
  Metric last{"gembench_rank_last_ratio",
              "Share of layers and steps in which the rank arrives last at the barrier",
              {}};
  for (const PlacementSummary& placement : comparison.placements) {
    for (int rank = 0; rank < static_cast<int>(placement.last_share.size()); ++rank) {
      last.samples.push_back({rank_labels(file.info().rank_facts, rank, placement.label),
                              placement.last_share[sz(rank)]});
    }
  }
  metrics.push_back(last);
  std::vector<std::pair<Labels, Difference>> pairs;
  for (const PairDifference& pair : comparison.pairs) {
    pairs.push_back({{{"placement", comparison.label(pair.placement)},
                      {"against", comparison.label(pair.reference)}},
                     pair.step_time});
  }
  add_difference(metrics, "gembench_step_difference",
                 "Step time against another placement, typical difference as a share", pairs);
  const CheckRecord& check = file.end().check;
  const bool checked = file.completed() && check.mode != "none" && !check.mode.empty();
  metrics.push_back({"gembench_outputs_correct",
                     "1 if the outputs were checked and correct, 0 if they were wrong",
                     {{{}, checked ? static_cast<double>(check.passed) : NAN}}});
  metrics.push_back({"gembench_started_timestamp_seconds",
                     "When the run started, since 1970",
                     {{{}, timestamp(fact_of(file.info(), "started"))}}});
  return metrics;
}

std::vector<Metric> metrics_of(const Regression& regression) {
  std::vector<Metric> metrics;
  std::vector<std::pair<Labels, Difference>> steps, ranks;
  for (const PlacementSince& row : regression.placements) {
    steps.push_back({{{"placement", row.placement}}, row.step_time});
    for (int rank = 0; rank < static_cast<int>(row.ranks.size()); ++rank) {
      ranks.push_back(
          {rank_labels(regression.rank_facts, rank, row.placement), row.ranks[sz(rank)]});
    }
  }
  add_difference(metrics, "gembench_step_change",
                 "Step time against the baseline, typical change as a share", steps);
  add_difference(metrics, "gembench_rank_compute_change",
                 "Time of a rank in route and experts against the baseline, typical change as a "
                 "share",
                 ranks);
  metrics.push_back(
      {"gembench_slower_than_baseline",
       "1 if a placement is certainly slower than the limit of --fail-above allows",
       {{{}, regression.fail_above ? static_cast<double>(has_failed(regression)) : NAN}}});
  metrics.push_back({"gembench_baseline_started_timestamp_seconds",
                     "When the baseline's run started, since 1970",
                     {{{}, timestamp(regression.old_started)}}});
  return metrics;
}

std::vector<Metric> metrics_of(const ProfileFile& file,
                               const std::optional<ProfileComparison>& comparison,
                               const std::optional<ProfileHistory>& history) {
  Metric seconds{"gembench_rank_expert_seconds",
                 "Time of the expert phase at the profile's largest load, median",
                 {}},
      slower{"gembench_rank_slower_ratio",
             "How much longer the expert phase takes than on the median rank, as a share",
             {}},
      noise{"gembench_rank_slower_noise_ratio", "Uncertainty of gembench_rank_slower_ratio", {}},
      slow{"gembench_rank_slow", "1 if the rank is slow beyond noise", {}},
      fail_slow{"gembench_rank_fail_slow",
                "1 if the rank slowed down beyond noise, during the profile or since an older one",
                {}},
      change{"gembench_rank_change_ratio",
             "How much longer the expert phase takes than in the older profile, relative to the "
             "change that all ranks share",
             {}},
      past{"gembench_rank_history_change_ratio",
           "How much longer the device takes than at the beginning of its history, against its "
           "peers: its lasting changes, 0 without any",
           {}};
  const auto speeds = judge_speeds(file.profile, file.samples);
  for (int rank = 0; rank < file.profile.ranks; ++rank) {
    const Labels labels = rank_labels(file.rank_facts, rank);
    const RankSpeed& speed = speeds[sz(rank)];
    const RankDrift* drift = comparison ? &comparison->drift.ranks[sz(rank)] : nullptr;
    const bool became_slower = drift != nullptr && drift->drifted && drift->relative > 0;
    const auto add = [&](Metric& metric, double value) {
      metric.samples.push_back({labels, value});
    };
    add(seconds, file.profile.at(rank, file.profile.load_points.size() - 1));
    add(slower, speed.slower);
    add(noise, speed.noise);
    add(slow, speed.slow ? 1 : 0);
    add(fail_slow, speed.fail_slow || became_slower ? 1 : 0);
    if (drift != nullptr) add(change, drift->relative);
  }
  for (const DeviceHistory& device : history ? history->devices : std::vector<DeviceHistory>()) {
    double log_ratio = 0;
    for (const LevelShift& shift : device.changes) log_ratio += shift.change;
    if (device.rank) {
      past.samples.push_back({rank_labels(file.rank_facts, *device.rank), std::expm1(log_ratio)});
    }
  }
  return {seconds,
          slower,
          noise,
          slow,
          fail_slow,
          change,
          past,
          {"gembench_profile_timestamp_seconds",
           "When the profile was measured, since 1970",
           {{{}, timestamp(file.measured)}}}};
}

std::vector<Metric> metrics_of(const ProfileFile& file, const ProbeVerdict& verdict) {
  Metric slower{"gembench_probe_slower_ratio",
                "How much longer the expert phase takes than on the other ranks, as a share",
                {}},
      certain{"gembench_probe_certainly_slower_ratio",
              "What of that is certain, for all ranks together",
              {}},
      past{"gembench_probe_past_slower_ratio",
           "How much longer the expert phase takes than in earlier probes, as a share",
           {}},
      slow{"gembench_probe_slow", "1 if the rank is slow beyond noise", {}};
  for (int rank = 0; rank < file.profile.ranks; ++rank) {
    const Labels labels = rank_labels(file.rank_facts, rank);
    const ProbeVerdict::Rank& found = verdict.ranks[sz(rank)];
    slower.samples.push_back({labels, found.others.slower});
    certain.samples.push_back({labels, found.others.certain});
    past.samples.push_back({labels, found.past.slower});
    slow.samples.push_back({labels, found.slow() ? 1. : 0.});
  }
  return {slower,
          certain,
          past,
          slow,
          {"gembench_probe_resolution_ratio",
           "The least slowdown that is found in 9 of 10 such probes",
           {{{}, verdict.resolution()}}},
          {"gembench_probe_timestamp_seconds",
           "When it was measured, since 1970",
           {{{}, timestamp(file.measured)}}}};
}

std::string prometheus_text(const std::vector<Metric>& metrics) {
  std::string text;
  for (const Metric& metric : metrics) {
    std::string lines;
    for (const MetricSample& sample : metric.samples) {
      if (std::isnan(sample.value)) continue;
      std::vector<std::string> labels;
      for (const auto& [name, value] : sample.labels) {
        if (value.empty()) continue;
        labels.push_back(fmt::format("{}=\"{}\"", name, escaped(value, "\\\"\n")));
      }
      lines += labels.empty() ? metric.name
                              : fmt::format("{}{{{}}}", metric.name, fmt::join(labels, ","));
      lines += fmt::format(" {}\n", text_of(sample.value));
    }
    if (lines.empty()) continue;
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n{2}", metric.name,
                        escaped(metric.help, "\\\n"), lines);
  }
  return text;
}

}  // namespace gembench::inline report
