#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/trace_import_command.hpp"
#include "harness/report/trace_report.hpp"
#include "harness/run/learning_curve.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/score.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/loads/joined_traces.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

Trace make_trace(const TraceMakeCommand& options) {
  const ModelShape model = model_of(options);
  return synthetic_trace(options, synthetic_spec(model, options.steps, tokens_per_step(options),
                                                 options.seed, options.ranks.value_or(0)));
}

/// What gem learns for ranks of equal speed, where nothing but the loads decides; judged on the
/// last quarter.
LearningCurve learning_on_equal_ranks(const Trace& trace, int ranks) {
  if (ranks >= trace.experts)
    throw usage_error(fmt::format(
        "{} experts on {} ranks leave nothing to place: give --learning-curve fewer --ranks",
        trace.experts, ranks));
  const HeldOut parts = hold_out(trace, 0.75);
  const auto most = std::int64_t{trace.max_tokens_in_step()} * trace.topk;
  const CostModel cost(equal_ranks(ranks, std::max<std::int64_t>(1, most)));
  return learning_curve({parts.plan, parts.judged, "gem", "eplb",
                         [&](const std::string& name, const Trace& steps) {
                           return plan_by_name(name, {steps, cost});
                         },
                         [&](const Placement& placement, const Trace& steps) {
                           return objective(steps, placement, cost);
                         }});
}

}  // namespace

std::string required_output(const OutputOptions& options) {
  if (options.output.empty()) throw usage_error("trace needs --output FILE");
  return options.output;
}

void print_trace(const std::string& path, const std::string& format) {
  print_text(trace_report(path, read_trace(path), format));
}

bool describes_file(const OutputOptions& options) {
  return !options.quiet || options.format != "table";
}

void execute(const TraceMakeCommand& command) {
  const std::string output = required_output(command);
  TraceWriter writer(output, command.overwrite);  // ours before the loads are made
  writer.append(make_trace(command));
  writer.commit();
  if (describes_file(command)) print_trace(output, command.format);
}

void execute(const TraceJoinCommand& command) {
  const std::string output = required_output(command);
  TraceWriter writer(output, command.overwrite);
  std::vector<Trace> traces;
  for (const std::string& file : command.files) traces.push_back(read_trace(file));
  for (const std::string& note : make_alike(traces, command.files)) {
    if (!command.quiet) tell(note);
  }
  for (Trace& trace : traces) writer.append(std::exchange(trace, {}));  // its memory is free then
  writer.commit();
  if (describes_file(command)) print_trace(output, command.format);
}

void execute(const TraceInfoCommand& command) {
  const Trace trace = read_trace(command.file);
  std::optional<LearningCurve> learning;
  if (command.learning_ranks) learning = learning_on_equal_ranks(trace, *command.learning_ranks);
  print_text(trace_report(command.file, trace, command.format, learning));
}

}  // namespace gembench::inline commands
