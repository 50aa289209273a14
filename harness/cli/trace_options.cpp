#include "harness/cli/trace_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/option_values.hpp"
#include "harness/cli/shared_options.hpp"
#include "placement/base/checked_sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/recordings/formats.hpp"

namespace gembench::inline cli {
namespace {

bool needs_ranks(const TraceLine& o) {
  return std::ranges::any_of(synthetic_presets(), [&o](const SyntheticPreset& preset) {
    return preset.needs_ranks && preset.name == o.preset;
  });
}

bool asks_to(const TraceLine& o, const char* what) {
  return !o.files.empty() && o.files[0] == what;
}

void synthetic_options(OptionSet& set, TraceLine& o) {
  const auto imports = [&o] { return asks_to(o, "import"); };
  set.group("Shape");
  tokens_option(set, o, "tokens of a step over all ranks (default: 1024)")
      .refused_if([&o] { return o.token_sweep.size() > 1; },
                  "trace accepts one value for --tokens, only run accepts several");
  set.group("Synthetic loads");
  preset_option(set, o)
      .refused_if(imports, "--preset is for trace make: drop it")
      .refused_if([&o] { return needs_ranks(o) && !o.ranks; },
                  "this --preset speaks of ranks: add --ranks N");
  set.amount("alpha", o.alpha, "A", "exponent of preset power-law, as --set alpha=A (default: 1.2)")
      .range(0, 3)
      .refused_if([&o] { return o.preset != "power-law"; },
                  "--alpha is of the loads of --preset power-law: add that, or drop it");
  set.count("ranks", o.ranks, "for presets that speak of ranks, which hold experts in order")
      .range(1, kMaxExperts)
      .refused_if(imports, "--ranks is for trace make: drop it")
      .refused_if([&o] { return !needs_ranks(o) && !asks_to(o, "info"); },
                  "--ranks is for presets that speak of ranks ('gembench list'): drop it");
  set.names("set", o.set, "NAME=V,...", "parameters of the preset; trace info lists them all")
      .refused_if(imports, "--set is for trace make: drop it");
  set.number("steps", o.steps, "steps to make, or to draw")
      .range(1, 1e7)
      .refused_if([&o, imports] { return imports() && !o.expand_multinomial; },
                  "--steps are drawn from run totals: add --expand-multinomial, or drop it");
}

void import_options(OptionSet& set, TraceLine& o) {
  set.group(
      fmt::format("Import of recordings ('gembench list' names the formats; experimental: {})",
                  experimental_recording_formats()));
  set.text("array", o.array, "NAME", "of a .npz with several arrays: the one to read");
  set.flag("expand-multinomial", o.expand_multinomial,
           "use run totals (recorded steps are added up) and draw --steps steps of --tokens tokens "
           "from them");
  set.real("rescale", o.rescale, "F",
           "scale all layers of a step to the smallest one if their sums differ by at most this "
           "share")
      .range(0, 1)
      .refused_if(
          [&o] { return o.expand_multinomial || o.window || o.batch || !o.arrivals.empty(); },
          "--rescale is for recorded steps, not for totals or tokens: drop it");
}

void batching_options(OptionSet& set, BatchingOptions& o) {
  set.group("Import of recordings of tokens (how to group them into steps)");
  set.count("window", o.window, "a step is N consecutive tokens of a request (same as --tokens N)")
      .range(1, 1 << 24);
  set.count("batch", o.batch,
            "continuous batching: N requests decode at once, with one token each per step; with "
            "--arrivals: at most N at once")
      .range(1, 1 << 24);
  set.flag("shuffle", o.shuffle, "with --batch: admit requests in random order, by --seed")
      .needs("batch", "--shuffle is for --batch: drop it")
      .excludes("arrivals", "--shuffle is for --batch: drop it");
  set.text(
      "arrivals", o.arrivals, "FILE",
      "serve these requests (of Azure, Mooncake or BurstGPT): decode as recorded, prompts drawn "
      "from recorded tokens");
  set.real("step-seconds", o.engine.step_seconds, "S", "with --arrivals: seconds per step")
      .range(0, 1e3)
      .needs("arrivals",
             "--step-seconds is for the engine that serves --arrivals: add them, or drop it");
  set.real("token-seconds", o.engine.token_seconds, "S",
           "with --arrivals: additional seconds per token")
      .range(0, 1e3)
      .needs("arrivals",
             "--token-seconds is for the engine that serves --arrivals: add them, or drop it");
  set.number("max-batch-tokens", o.engine.max_batch_tokens,
             "with --arrivals: most tokens of a step; prompts are divided into chunks")
      .range(1, 1 << 24)
      .needs("arrivals",
             "--max-batch-tokens is for the engine that serves --arrivals: add them, or drop it");
  set.number("max-steps", o.engine.max_steps,
             "with --batch or --arrivals: stop after N steps (0 = all)")
      .refused_if([&o] { return !o.batch && o.arrivals.empty(); },
                  "--max-steps is for --batch and --arrivals: drop it");
  set.flag("counts-only", o.counts_only,
           "keep the experts' token counts, not the ids of every token")
      .excludes("arrivals", "--arrivals keeps counts only: drop --counts-only");
  set.text("requests", o.requests, "FILE",
           "for ids: CSV that divides them into requests (decode_tokens or tokens; token_offset, "
           "recorded_prompt_tokens, task)");
  set.number("id-bytes", o.id_bytes, "for raw ids: bytes per id, 1 or 2");
}

}  // namespace

void define(OptionSet& set, TraceLine& o) {
  model_options(set, o, false);
  synthetic_options(set, o);
  import_options(set, o);
  batching_options(set, o);
  set.group("Trace info");
  set.flag("learning-curve", o.learning_curve,
           "say how gem's gain on --ranks N of equal speed grows with the steps planned on, and "
           "whether more recording would help")
      .refused_if([&o] { return !asks_to(o, "info"); },
                  "--learning-curve is for trace info and plan: drop it")
      .needs("ranks", "--learning-curve needs --ranks N");
  output_options(set, o);
  table_or_json_option(set, o.format);
  quiet_option(set, o.quiet);
  set.group("Other");
  set.seed(o.seed, "for weights, inputs, synthetic loads and the order of blocks")
      .refused_if(
          [&o] {
            return asks_to(o, "import") && !o.expand_multinomial && !o.shuffle &&
                   o.arrivals.empty();
          },
          "--seed has no effect here, nothing is random: drop it");
  set.only([&o] { return asks_to(o, "info"); }, "ranks learning-curve format quiet",
           "trace info only reads a trace: drop --{}");
  set.only([&o] { return asks_to(o, "join"); }, "output overwrite format quiet",
           "trace join takes traces as they are: drop --{}");
  set.only(
      [&o] { return asks_to(o, "make"); },
      "model scale layers experts topk tokens preset alpha ranks set steps seed output overwrite "
      "format quiet",
      "--{} is for trace import, not for trace make: drop it");
}

Command command_of(const TraceLine& line) {
  if (asks_to(line, "make") && line.files.size() == 1) return TraceMakeCommand(line);
  if (asks_to(line, "join") && line.files.size() > 1)
    return TraceJoinCommand{line, {line.files.begin() + 1, line.files.end()}};
  if (asks_to(line, "info") && line.files.size() == 2) {
    if (line.ranks && !line.learning_curve)
      throw usage_error("--ranks is for the learning curve: add --learning-curve, or drop it");
    return TraceInfoCommand{line.files[1], line.format, line.ranks};
  }
  if (!asks_to(line, "import")) {
    throw usage_error(
        "trace needs make, import FORMAT FILE..., join FILE..., or info FILE: see gembench trace "
        "--help");
  }
  TraceImportCommand import = line;
  import.files.erase(import.files.begin());
  if (import.files.empty()) return import;
  import.recording = import.files.front();
  import.files.erase(import.files.begin());
  return import;
}

}  // namespace gembench::inline cli
