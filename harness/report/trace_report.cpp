#include "harness/report/trace_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "harness/report/learning_json.hpp"
#include "harness/report/numbers.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/workload.hpp"
#include "placement/loads/trace_info.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string drift_line(const std::string& what, const LoadDrift& drift) {
  return fmt::format(
      "drift {}: correlation {:.3f}, {:.1f} % of the load moved, most in layer {} "
      "({:.1f} %)\n",
      what, drift.correlation, drift.variation * 100, drift.layer, drift.largest_variation * 100);
}

/// The largest groups of all layers, a line each.
std::string group_lines(const TraceInfo& info) {
  constexpr int kShown = 5;
  std::string text;
  int shown = 0;
  for (std::size_t layer = 0; layer < info.layers.size(); ++layer) {
    for (const auto& group : info.layers[layer].groups) {
      if (++shown > kShown) return text + fmt::format("  ... and {} more\n", info.groups - kShown);
      text += fmt::format("  layer {}: experts {}\n", layer, fmt::join(group, ", "));
    }
  }
  return text;
}

std::string spread_over_layers(const TraceInfo& info) {
  std::vector<double> skews;
  for (const auto& layer : info.layers) skews.push_back(layer.skew);
  std::sort(skews.begin(), skews.end());
  const auto middle = skews.size() / 2;
  const double median =
      skews.size() % 2 == 1 ? skews[middle] : (skews[middle - 1] + skews[middle]) / 2;
  return fmt::format("layers {:.2f} to {:.2f}, median {:.2f}", skews.front(), skews.back(), median);
}

/// "3-60", "0-5, 7, 9": ascending numbers.
std::string ranges(const std::vector<std::int32_t>& ids) {
  std::vector<std::string> parts;
  for (std::size_t first = 0; first < ids.size();) {
    auto last = first;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    parts.push_back(first == last ? fmt::format("{}", ids[first])
                                  : fmt::format("{}-{}", ids[first], ids[last]));
    first = last + 1;
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::ptrdiff_t steps_of(const Trace& trace, std::int32_t phase) {
  return std::count(trace.phase.begin(), trace.phase.end(), phase);
}

/// Facts that only recordings have: layers of the model, source ranks of tokens, phases.
std::string origin_lines(const Trace& trace) {
  std::string text;
  if (!trace.layer_ids.empty()) {
    text += fmt::format("layers in the model: {}", ranges(trace.layer_ids));
    text += trace.model_layers > 0 ? fmt::format(" of {}\n", trace.model_layers) : "\n";
  }
  if (trace.sources > 0) text += fmt::format("tokens by source: {} ranks\n", trace.sources);
  if (!trace.phase.empty()) {
    text +=
        fmt::format("phases: {} steps of decode, {} of prefill, {} of both\n",
                    steps_of(trace, kDecode), steps_of(trace, kPrefill), steps_of(trace, kMixed));
  }
  return text;
}

std::string power_law_line(const TraceInfo& info) {
  if (!info.power_law) return "power law of loads: no alpha, since they are too even or too few\n";
  const PowerLawFit& fit = *info.power_law;
  return fmt::format(
      "power law of loads: alpha {:.2f} +- {:.2f} (standard error, {} experts), {} (distance "
      "{:.3f}, "
      "up to {:.3f} by chance)\n",
      fit.alpha, fit.error, fit.experts,
      fit.distance <= fit.by_chance ? "which fits" : "but they follow none", fit.distance,
      fit.by_chance);
}

std::string as_table(const std::string& path, const Trace& trace, const TraceInfo& info) {
  const TraceInfoOptions options;
  std::string text = fmt::format(
      "# {}\n# source {}\nsteps {}  layers {}  experts {}  top-k {}  tokens a step {}  {}\n", path,
      trace.source, trace.steps, trace.layers, trace.experts, trace.topk, tokens_of_steps(trace),
      trace.has_ids() ? "per-token ids" : "counts");
  text += basis_of(trace.requests, tasks_of(trace)) + "\n";
  text += origin_lines(trace);
  if (const auto note = totals_note(path, trace); !note.empty()) {
    text += fmt::format("# {}\n", note);
  }
  text += fmt::format(
      "hottest expert / mean: {:.2f} summed over steps ({}), {:.2f} within a step (at most "
      "{:.2f})\n",
      info.skew, spread_over_layers(info), info.step_skew, info.largest_step_skew);
  text += power_law_line(info);
  text += fmt::format(
      "experts: {:.1f} % consistent (used in at least {:.0f} % of steps), {:.1f} % temporal (in "
      "{:.0f} "
      "% of steps with {:.1f} x the mean)\n",
      info.consistent * 100, options.consistent_duty * 100, info.temporal * 100,
      info.temporal_duty * 100, info.temporal_burst);
  text += fmt::format("groups that fire together: {}, with {:.1f} % of the experts\n{}",
                      info.groups, info.grouped * 100, group_lines(info));
  if (info.halves) text += drift_line("between halves", *info.halves);
  if (info.chance) text += drift_line("by chance (even, odd steps)", *info.chance);
  for (const LoadDrift& drift : info.tasks) {
    text += drift_line(fmt::format("between tasks {} and {}", drift.from, drift.to), drift);
  }
  return text;
}

ordered_json drift_of(const LoadDrift& drift) {
  return {{"correlation", json_number(drift.correlation)},
          {"moved", json_number(drift.variation)},
          {"moved_most", json_number(drift.largest_variation)},
          {"layer", drift.layer}};
}

ordered_json power_law_of(const PowerLawFit& fit) {
  return {{"alpha", json_number(fit.alpha)},
          {"error", json_number(fit.error)},
          {"distance", json_number(fit.distance)},
          {"by_chance", json_number(fit.by_chance)},
          {"experts", fit.experts}};
}

ordered_json as_json(const std::string& path, const Trace& trace, const TraceInfo& info) {
  ordered_json layers = ordered_json::array(), tasks = ordered_json::array();
  for (const LayerInfo& layer : info.layers) {
    layers.push_back({{"skew", json_number(layer.skew)},
                      {"step_skew", json_number(layer.step_skew)},
                      {"largest_step_skew", json_number(layer.largest_step_skew)},
                      {"groups", layer.groups}});
  }
  for (const LoadDrift& drift : info.tasks) {
    ordered_json one{{"from", drift.from}, {"to", drift.to}};
    one.update(drift_of(drift));
    tasks.push_back(one);
  }
  ordered_json phases;
  if (!trace.phase.empty()) {
    phases = {{"decode", steps_of(trace, kDecode)},
              {"prefill", steps_of(trace, kPrefill)},
              {"both", steps_of(trace, kMixed)}};
  }
  return {
      {"file", path},
      {"source", trace.source},
      {"steps", trace.steps},
      {"layers", trace.layers},
      {"experts", trace.experts},
      {"topk", trace.topk},
      {"tokens_a_step", tokens_of_steps(trace)},
      {"ids", trace.has_ids()},
      {"layer_ids", trace.layer_ids},
      {"model_layers", trace.model_layers > 0 ? ordered_json(trace.model_layers) : ordered_json()},
      {"sources", trace.sources},
      {"phases", phases},
      {"requests", trace.requests > 0 ? ordered_json(trace.requests) : ordered_json()},
      {"tasks", tasks_of(trace)},
      {"note", totals_note(path, trace)},
      {"skew", json_number(info.skew)},
      {"step_skew", json_number(info.step_skew)},
      {"largest_step_skew", json_number(info.largest_step_skew)},
      {"power_law", info.power_law ? power_law_of(*info.power_law) : ordered_json()},
      {"consistent", json_number(info.consistent)},
      {"temporal", json_number(info.temporal)},
      {"temporal_duty", json_number(info.temporal_duty)},
      {"temporal_burst", json_number(info.temporal_burst)},
      {"grouped", json_number(info.grouped)},
      {"by_layer", layers},
      {"drift_halves", info.halves ? drift_of(*info.halves) : ordered_json()},
      {"drift_chance", info.chance ? drift_of(*info.chance) : ordered_json()},
      {"drift_tasks", tasks}};
}

}  // namespace

std::string trace_report(const std::string& path, const Trace& trace, const std::string& format,
                         const std::optional<LearningCurve>& learning) {
  const TraceInfo info = trace_info(trace);
  if (format != "json")
    return as_table(path, trace, info) + (learning ? to_text(*learning) + "\n" : "");
  auto json = as_json(path, trace, info);
  if (learning) {
    json["learning"] = learning_json(*learning);
    json["learning_against"] = learning->against;
    json["learning_finding"] = learning->finding;
  }
  return json.dump(2) + "\n";
}

}  // namespace gembench::inline report
