#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/trace_import_command.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/loads/trace_info.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

Trace make_trace(const TraceMakeCommand& options) {
  const ModelShape model = model_of(options);
  return synthetic_trace(
      options, synthetic_spec(model, options.steps, tokens_per_step(options), options.seed));
}

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

/// Facts that only recordings have: layers of the model, source ranks of tokens, phases.
std::string origin_lines(const Trace& trace) {
  std::string text;
  if (!trace.layer_ids.empty()) {
    text += fmt::format("layers in the model: {}", ranges(trace.layer_ids));
    text += trace.model_layers > 0 ? fmt::format(" of {}\n", trace.model_layers) : "\n";
  }
  if (trace.sources > 0) text += fmt::format("tokens by source: {} ranks\n", trace.sources);
  if (!trace.phase.empty()) {
    const auto steps = [&](std::int32_t phase) {
      return std::count(trace.phase.begin(), trace.phase.end(), phase);
    };
    text += fmt::format("phases: {} steps of decode, {} of prefill, {} of both\n", steps(kDecode),
                        steps(kPrefill), steps(kMixed));
  }
  return text;
}

}  // namespace

std::string required_output(const OutputOptions& options) {
  if (options.output.empty()) throw usage_error("trace needs --output FILE");
  return options.output;
}

void print_trace(const std::string& path) {
  const Trace trace = read_trace(path);
  const TraceInfo info = trace_info(trace);
  const TraceInfoOptions options;
  print_result(
      "# {}\n# source {}\nsteps {}  layers {}  experts {}  top-k {}  tokens a step {}  {}\n", path,
      trace.source, trace.steps, trace.layers, trace.experts, trace.topk, tokens_of_steps(trace),
      trace.has_ids() ? "per-token ids" : "counts");
  print_result("{}", origin_lines(trace));
  if (const auto note = totals_note(path, trace); !note.empty()) print_result("# {}\n", note);
  print_result(
      "hottest expert / mean: {:.2f} summed over steps ({}), {:.2f} within a step (at most "
      "{:.2f})\n",
      info.skew, spread_over_layers(info), info.step_skew, info.largest_step_skew);
  print_result(
      "experts: {:.1f} % consistent (used in at least {:.0f} % of steps), {:.1f} % temporal (in "
      "{:.0f} "
      "% of steps with {:.1f} x the mean)\n",
      info.consistent * 100, options.consistent_duty * 100, info.temporal * 100,
      info.temporal_duty * 100, info.temporal_burst);
  print_result("groups that fire together: {}, with {:.1f} % of the experts\n{}", info.groups,
               info.grouped * 100, group_lines(info));
  if (info.halves) print_result("{}", drift_line("between halves", *info.halves));
  if (info.chance) print_result("{}", drift_line("by chance (even, odd steps)", *info.chance));
  for (const LoadDrift& drift : info.tasks) {
    print_result("{}",
                 drift_line(fmt::format("between tasks {} and {}", drift.from, drift.to), drift));
  }
}

void execute(const TraceMakeCommand& command) {
  const std::string output = required_output(command);
  TraceWriter writer(output, command.overwrite);  // ours before the loads are made
  writer.append(make_trace(command));
  writer.commit();
  print_trace(output);
}

void execute(const TraceInfoCommand& command) {
  print_trace(command.file);
}

}  // namespace gembench::inline commands
