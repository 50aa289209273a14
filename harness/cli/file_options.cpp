#include "harness/cli/file_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "harness/cli/completion.hpp"
#include "harness/cli/offered_words.hpp"
#include "harness/cli/shared_options.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/traffic_formats.hpp"

namespace gembench::inline cli {
void define(OptionSet& set, ConvertCommand& o) {
  const auto writes_placement = [&o] {
    return !o.to.empty() && find_traffic_format(o.to) == nullptr;
  };
  set.group("Conversion");
  set.text("to", o.to, "FORMAT",
           fmt::format("format to write; see 'gembench list' (experimental: {})",
                       experimental_placement_formats()))
      .offers(placement_format_words(true));
  set.text("from-format", o.from_format, "FORMAT", "format of the file; auto recognises it")
      .offers(placement_format_words(false));
  set.count("ranks", o.ranks, "number of ranks, if the file does not say").range(1, 65536);
  set.count("experts", o.experts,
            "experts per layer (default: by the highest that the file names)");
  set.count("layers", o.layers, "MoE layers, if the file has one map for all of them");
  set.text("model", o.model, "NAME",
           "model preset, which says which layers are dense (default: the one that the file names)")
      .offers(model_words())
      .refused_if([&o] { return o.first_layer || o.model_layers; },
                  "--first-layer and --model-layers are part of --model: drop one of them");
  set.count("first-layer", o.first_layer,
            "index of the first MoE layer in the model; layers before it are dense")
      .range(0, 65536);
  set.count("model-layers", o.model_layers, "layers of the model, dense ones included")
      .range(1, 65536);
  set.group("Traffic between ranks (nccl-alltoallv, bench-moe)");
  set.text("trace", o.trace, "FILE",
           "trace.h5 with the loads; it also says which layers are dense");
  set.count("layer", o.layer, "MoE layer, from 0")
      .refused_if(writes_placement, "--layer is for traffic formats: drop it");
  set.count("step", o.step, "step of the trace (default: mean over all)")
      .refused_if(writes_placement, "--step is for traffic formats: drop it");
  set.real("token-bytes", o.token_bytes, "B",
           "bytes of a token (0 = from the model that the file names)")
      .range(0, 1e9)
      .refused_if(writes_placement, "--token-bytes is for traffic formats: drop it");
  set.text("token-split", o.token_split, "RULE",
           "how replicas share tokens: even, one-per-source (as vllm-ascend) or local-first (as "
           "SGLang)")
      .one_of({"even", "one-per-source", "local-first"})
      .refused_if(writes_placement, "--token-split is for traffic formats: drop it");
  output_options(set, o);
  quiet_option(set, o.quiet);
  set.group("Other");
}

void define(OptionSet& set, InfoCommand& o) {
  set.group("Output", false);
  table_or_json_option(set, o.format);
  set.group("Other");
}

void define(OptionSet& set, CompareCommand& o) {
  set.group("Output", false);
  format_option(set, o.format);
  set.text("against", o.against, "NAME",
           "placement to compare with, or all for every pair (default: the first)");
  set.text("summary", o.summary, "FILE", "write the numbers as HDF5 instead of printing them");
  quiet_option(set, o.quiet);
  prometheus_option(set, o.prometheus)
      .excludes("summary", "--summary writes HDF5 and nothing else: drop --prometheus")
      .refused_if([&o] { return o.files.size() > 1; }, "--prometheus takes one results file");
  set.group("Since an earlier run", false);
  set.text("baseline", o.baseline, "OLD.h5",
           "an earlier run of the same command: says which placements and ranks have become slower "
           "since")
      .excludes("against", "--baseline compares each placement with itself: drop --against")
      .excludes("summary", "--baseline writes no summary: drop one")
      .refused_if([&o] { return o.files.size() > 1; },
                  "--baseline takes one results file to compare with it");
  set.amount("fail-above", o.fail_above, "P",
             "end with exit code 1 if step time has certainly grown by more than P percent; "
             "without it 5 "
             "percent are reported and the code is 0")
      .range(0, 1e6)
      .needs("baseline", "--fail-above judges a run against an earlier one: add --baseline OLD.h5");
  set.group("Other");
}

void define(OptionSet& set, ListCommand& o) {
  set.group("Output", false);
  table_or_json_option(set, o.format);
  set.group("Other");
}

void define(OptionSet& set, CompletionCommand& o) {
  set.group("Other");
  set.rule([&o] {
    const std::vector<std::string> shells{std::begin(kShells), std::end(kShells)};
    if (o.files.size() == 1 && std::ranges::find(shells, o.files[0]) != shells.end()) return;
    throw usage_error(
        fmt::format("completion needs a shell: name one of {}", fmt::join(shells, ", ")));
  });
}

void define(OptionSet& set, ManCommand& /*nothing to ask*/) {
  set.group("Other");
}

}  // namespace gembench::inline cli
