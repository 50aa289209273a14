#include "harness/commands/token_import.hpp"

#include <fmt/format.h>

#include "harness/run/workload.hpp"
#include "placement/base/checked_sizes.hpp"
#include "placement/recordings/batching.hpp"
#include "placement/recordings/ids_file.hpp"

namespace gembench::inline commands {
namespace {

/// How tokens become steps, as the user said.
struct Batching {
  int window = 0;  ///< 0: not by windows
  bool keep_ids = false;
};

Batching batching_of(const TraceImportCommand& options, const RecordingInput& input) {
  Batching how;
  const auto window = options.window ? options.window : options.tokens;
  const bool served = !options.arrivals.empty();
  if ((window && options.batch) || (window && served)) {
    throw usage_error(
        "--window (or --tokens), --batch and --arrivals exclude each other: keep one");
  }
  if (!window && !options.batch && !served) {
    throw usage_error(fmt::format(
        "{} is a recording of tokens: choose how to group them into steps, with --window N "
        "(consecutive tokens), --batch N (continuous batching) or --arrivals FILE",
        name_of(input)));
  }
  if (served && options.engine.step_seconds + options.engine.token_seconds <= 0) {
    throw usage_error("--arrivals needs to know how long a step takes: add --step-seconds S");
  }
  if (options.expand_multinomial) {
    throw usage_error(
        fmt::format("{} lists tokens, no totals: drop --expand-multinomial", name_of(input)));
  }
  how.window = window.value_or(0);
  how.keep_ids = !options.counts_only && !served;
  return how;
}

std::int64_t serve_arrivals(const TraceImportCommand& options, TokenRecording& recording,
                            const KeepSteps& keep) {
  ServingSpec engine = options.engine;
  engine.max_requests = options.batch.value_or(0);
  const auto arrivals = read_arrivals(options.arrivals, &recording.notes);
  recording.source = fmt::format("{} on {}", options.arrivals, recording.source);
  return batch_arrivals(recording, arrivals, engine, options.seed, keep);
}

}  // namespace

void require_no_batching(const TraceImportCommand& options, const RecordingInput& input) {
  if (options.tokens && !options.expand_multinomial) {
    throw usage_error(
        fmt::format("{} holds steps, which have their own tokens: drop --tokens", name_of(input)));
  }
  if (!options.window && !options.batch && options.arrivals.empty() && options.requests.empty() &&
      !options.counts_only) {
    return;
  }
  throw usage_error(
      fmt::format("{} holds steps already: drop --window, --batch, --arrivals, --requests and "
                  "--counts-only",
                  name_of(input)));
}

std::vector<std::string> import_tokens(const TraceImportCommand& options,
                                       const RecordingFormat& format, RecordingInput input,
                                       TraceWriter& writer) {
  const Batching how = batching_of(options, input);
  const bool raw = format.read_tokens == read_ids;
  // Only here: the other formats list dense layers too, which a model's shape does not count.
  if (raw && input.layers == 0 && options.model_stated) input.layers = model_of(options).layers;
  std::int64_t ids = 0;
  const KeepSteps keep = [&](const Trace& steps) {
    ids += static_cast<std::int64_t>(steps.topk_ids.size());
    if (ids > kMaxElements) {
      throw usage_error(
          fmt::format("{} has more than {} ids, too many for a trace: add --counts-only",
                      name_of(input), kMaxElements));
    }
    writer.append(steps);
  };
  if (how.window > 0 && raw && input.requests.empty()) {
    return window_ids(input, how.window, how.keep_ids, keep);  // of any size
  }
  if (format.read_pass && !input.requests.empty()) {
    throw usage_error(
        fmt::format("{} lists the tokens of passes: drop --requests", name_of(input)));
  }
  TokenRecording recording = format.read_tokens(input);
  if (how.window > 0) {
    writer.set_requests(batch_windows(recording, how.window, how.keep_ids, keep));
  } else if (!options.arrivals.empty()) {
    writer.set_requests(serve_arrivals(options, recording, keep));
  } else {
    writer.set_requests(batch_continuously(
        recording, {*options.batch, options.shuffle, options.seed, options.engine.max_steps},
        how.keep_ids, keep));
  }
  return recording.notes;
}

}  // namespace gembench::inline commands
