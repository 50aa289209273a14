#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/trace_import_command.hpp"
#include "harness/report/trace_report.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

Trace make_trace(const TraceMakeCommand& options) {
  const ModelShape model = model_of(options);
  return synthetic_trace(options, synthetic_spec(model, options.steps, tokens_per_step(options),
                                                 options.seed, options.ranks.value_or(0)));
}

}  // namespace

std::string required_output(const OutputOptions& options) {
  if (options.output.empty()) throw usage_error("trace needs --output FILE");
  return options.output;
}

void print_trace(const std::string& path, const std::string& format) {
  print_text(trace_report(path, read_trace(path), format));
}

void execute(const TraceMakeCommand& command) {
  const std::string output = required_output(command);
  TraceWriter writer(output, command.overwrite);  // ours before the loads are made
  writer.append(make_trace(command));
  writer.commit();
  print_trace(output, command.format);
}

void execute(const TraceInfoCommand& command) {
  print_trace(command.file, command.format);
}

}  // namespace gembench::inline commands
