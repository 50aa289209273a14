#include "harness/commands/trace_import_command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "harness/cli/printing.hpp"
#include "harness/commands/token_import.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/loads/multinomial_steps.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/layer_sums.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

constexpr std::size_t kLargestShown = std::size_t{256} << 20;  // bytes that are analysed

void say(const TraceImportCommand& options, const std::string& sentence) {
  if (!options.quiet) tell(sentence);
}

/// The user's statements; a default model does not count, and for layers only --layers does, since
/// a recording may hold some of the layers.
RecordingInput input_of(const TraceImportCommand& options) {
  RecordingInput input;
  input.paths.assign(options.files.begin(), options.files.end());
  if (options.model_stated) {
    const ModelShape model = model_of(options);
    input.experts = model.experts;
    input.topk = model.topk;
  }
  if (options.layers) input.layers = *options.layers;
  if (options.experts) input.experts = *options.experts;
  if (options.topk) input.topk = *options.topk;
  input.id_bytes = options.id_bytes;
  input.requests = options.requests;
  input.array = options.array;
  return input;
}

/// Passes a batch to `keep`; its errors are reported as errors of the input.
template <class Keep>
void with_name(const RecordingInput& input, Keep keep) {
  try {
    keep();
  } catch (const Error& error) {
    if (error.code() != ExitCode::usage) throw;
    throw usage_error(fmt::format("{}: {}", name_of(input), error.what()));
  }
}

void say_all(const TraceImportCommand& options, const std::vector<std::string>& notes) {
  for (const auto& note : notes) say(options, note);
}

void import_totals(const TraceImportCommand& options, const RecordingFormat& format,
                   const RecordingInput& input, TraceWriter& writer) {
  if (recordings_in(format, input).size() > 1) {
    throw usage_error(fmt::format(
        "{} are recordings of their own, and --expand-multinomial draws from one: import them one "
        "by one, and join them by trace join",
        name_of(input)));
  }
  std::vector<std::string> notes;
  const RunTotals totals = format.read_totals(input, notes);
  say_all(options, notes);
  with_name(input, [&] {
    require_topk(totals.shape);
    writer.append(
        expand_multinomial(totals, {options.steps, tokens_per_step(options), options.seed}));
  });
}

/// "a.pt, b.pt and 3 more": where recordings come from that follow one another.
std::string names_in_order(const std::vector<RecordingInput>& recordings) {
  constexpr std::size_t kMost = 64;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < recordings.size() && i < kMost; ++i) {
    names.push_back(name_of(recordings[i]));
  }
  const auto more = recordings.size() - names.size();
  return fmt::format("{}{}", fmt::join(names, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

void import_steps(const TraceImportCommand& options, const RecordingFormat& format,
                  const RecordingInput& input, TraceWriter& writer) {
  LayerSums sums;
  sums.tolerance = options.rescale;
  const auto recordings = recordings_in(format, input);
  const std::string source = names_in_order(recordings);
  std::vector<std::string> told;
  for (const RecordingInput& one : recordings) {
    const auto notes = format.read(one, [&](Trace steps) {
      with_name(one, [&] {
        equalise_layers(steps, sums);
        writer.append(steps);
      });
    });
    if (notes != told) say_all(options, notes);
    told = notes;
  }
  if (recordings.size() > 1) {
    say(options, fmt::format("{} recordings follow one another in this order", recordings.size()));
    writer.set_source(source);
  }
  if (sums.rescaled == 0) return;
  const auto what = fmt::format(
      "layers of {} of {} steps summed differently, by {:.2g} % at most, and were scaled to the "
      "smallest",
      sums.rescaled, sums.steps, sums.largest * 100);
  say(options, what);
  writer.set_source(fmt::format("{}; {}", source, what));
}

}  // namespace

void execute(const TraceImportCommand& options) {
  const std::string output = required_output(options);
  if (options.files.empty()) {
    throw usage_error(
        "trace import needs a format, or auto, and files: gembench trace import auto FILE");
  }
  TraceWriter writer(output, options.overwrite);
  const RecordingInput input = input_of(options);
  const RecordingFormat& format = find_format(options.recording, input);
  if (options.recording == "auto") {
    say(options, fmt::format("{} is read as {}: {}", name_of(input), format.name, format.what));
  }
  if (format.read_tokens && (!format.read_pass || options.window)) {
    say_all(options, import_tokens(options, format, input, writer));
  } else {
    require_no_batching(options, input);
    (options.expand_multinomial ? import_totals : import_steps)(options, format, input, writer);
  }
  writer.commit();
  if (!describes_file(options)) return;
  const Trace& shape = writer.shape();
  if (writer.bytes() <= kLargestShown) {
    print_trace(output, options.format);
    return;
  }
  if (options.format == "json") {
    print_text(nlohmann::ordered_json{{"file", output},
                                      {"steps", writer.steps()},
                                      {"layers", shape.layers},
                                      {"experts", shape.experts},
                                      {"topk", shape.topk}}
                   .dump(2) +
               "\n");
    return;
  }
  print_result(
      "# {0}\nsteps {1}  layers {2}  experts {3}  top-k {4}\n"
      "# too large to analyse here: run gembench trace info {0}\n",
      output, writer.steps(), shape.layers, shape.experts, shape.topk);
}

}  // namespace gembench::inline commands
