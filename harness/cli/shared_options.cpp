#include "harness/cli/shared_options.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/cli/offered_words.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/strategy_rules.hpp"
#include "placement/base/known_names.hpp"
#include "placement/loads/synthetic.hpp"

namespace gembench::inline cli {

using Json = OptionSet::Json;

void model_options(OptionSet& set, ModelOptions& o, bool with_widths) {
  set.group("Model");
  set.text("model", o.model, "NAME",
           "shape preset ('gembench list'), or a config.json from huggingface.co or its folder")
      .offers(model_words())
      .stated(o.model_stated);
  Option& scale = set.real("scale", o.scale, "F", "divide hidden and ffn by F");
  set.count("layers", o.layers, "MoE layers to run (default: the model's)");
  set.count("experts", o.experts, "experts per layer (default: the model's)");
  set.count("topk", o.topk, "experts per token (default: the model's)");
  if (!with_widths) return;
  scale.refused_if([&o] { return o.hidden && o.ffn; },
                   "--scale has no effect with --hidden and --ffn: drop it");
  set.count("hidden", o.hidden, "width of a token (default: the model's / F)");
  set.count("ffn", o.ffn, "inner width of an expert (default: the model's / F)");
  set.count(
         "weight-layers", o.weight_layers,
         "number of distinct weight sets; layers reuse them in rotation (default: one per layer)")
      .range(1, 65536);
  set.text("dtype", o.dtype, "T", "auto, f32 or bf16; auto = bf16 if the device supports it")
      .one_of({"auto", "f32", "bf16"});
}

Option& tokens_option(OptionSet& set, LoadOptions& o, const char* help) {
  return set
      .call(
          "tokens", "N", help,
          [&o](const std::string& v) {
            o.token_sweep = parse_sweep("tokens", v);
            o.tokens = o.token_sweep.front();
          },
          [&o] {
            return o.token_sweep.size() > 1 ? Json(o.token_sweep)
                   : o.tokens               ? Json(*o.tokens)
                                            : Json();
          })
      .range(1, 1 << 24);
}

Option& preset_option(OptionSet& set, LoadOptions& o) {
  return set.text("preset", o.preset, "NAME", "synthetic loads, see 'gembench list'")
      .one_of(names_of_rows(synthetic_presets()));
}

void routing_options(OptionSet& set, RoutingOptions& o, const char* tokens_help, bool several) {
  set.group("Routing");
  Option& tokens = tokens_option(set, o, tokens_help);
  const auto is_sweep = [&o] { return o.token_sweep.size() > 1; };
  if (!several)
    tokens.refused_if(is_sweep, "profile accepts one value for --tokens, only run accepts several");
  tokens.refused_if([&o, is_sweep] { return is_sweep() && !o.trace.empty(); },
                    "a trace has its own tokens: drop --tokens or --trace");
  set.call(
      "tokens-per-rank", "N,N,...",
      "tokens of every rank; with a trace, the ranks' shares of its tokens (default: equal)",
      [&o](const std::string& v) { o.tokens_per_rank = parse_counts("tokens-per-rank", v); },
      [&o] { return Json(o.tokens_per_rank); });
  set.text("routing", o.routing, "KIND",
           "synthetic, trace, or router (the model's own router decides)")
      .formerly(o.routing, "gate", "router")
      .one_of({"synthetic", "trace", "router"})
      .refused_if([&o] { return o.routing == "trace" && o.trace.empty(); },
                  "--routing trace needs --trace FILE");
  preset_option(set, o)
      .refused_if([&o] { return o.routing != "synthetic"; },
                  "--preset is for synthetic loads: drop it, or --trace and --routing")
      .refused_if([&o] { return o.preset == "w4-source-ragged"; },
                  "w4-source-ragged is even loads from batches of different size: give --preset "
                  "even --tokens-per-rank N,N,...");
  set.text("trace", o.trace, "FILE", "trace.h5 of 'gembench trace'; implies --routing trace")
      .refused_if([&o, several] { return several && o.routing != "trace"; },
                  "--routing router reads no --trace: drop one of them");
}

Option& cost_option(OptionSet& set, std::string& cost) {
  return set
      .text("cost", cost, "MODEL",
            "how a rank's time is predicted: sum (from the sum of its tokens, as in the paper), "
            "per-expert (each expert by itself) or auto (the one closer to the profile's routed "
            "loads; without them per-expert if even loads show that active experts take time, else "
            "sum)")
      .formerly(cost, "tokens", "sum")
      .formerly(cost, "experts", "per-expert")
      .one_of({"auto", "sum", "per-expert"});
}

void slot_options(OptionSet& set, SlotOptions& o) {
  set.number(
         "spare-slots", o.spare_slots,
         fmt::format("slots per rank beyond experts/ranks (rounded up; 0 = as many as --replicas "
                     "need), for replicas or so that slow ranks can hold fewer experts; for {}",
                     takers_of("spare-slots")))
      .range(0, 65536);
  set.number(
         "replicas", o.replicas,
         fmt::format(
             "N redundant experts per layer, in (experts + N)/ranks slots per rank, rounded up; "
             "with --spare-slots at most N, as many as pay (0: {1} fill all slots); for {0}",
             takers_of("replicas"), fillers()))
      .range(0, 1 << 24);
  set.text("token-split", o.token_split, "RULE",
           "how replicas share tokens: even, by-speed, water-fill (equalises finish times every "
           "step), water-fill-blind (the same as if speeds were equal), lp (the least time of the "
           "slowest rank, every step), lp-blind (its fewest tokens, as LPLB), one-per-source (as "
           "vllm-ascend) or local-first (as SGLang)")
      .one_of({"even", "by-speed", "water-fill", "water-fill-blind", "lp", "lp-blind",
               "one-per-source", "local-first"});
}

void node_cost_options(OptionSet& set, NodeOptions& o, std::function<bool()> nodes_unknown) {
  const auto no_nodes = [&o, unknown = std::move(nodes_unknown)] {
    return !o.ranks_per_node && unknown();
  };
  constexpr const char* kNeed = "--node-cost and --node-costs need nodes: add --ranks-per-node N";
  set.real("node-cost", o.node_cost, "S/B",
           takers_of("node-cost") + ": seconds that a byte between nodes adds to a step")
      .range(0, 1)
      .refused_if(no_nodes, kNeed)
      .excludes("node-costs", "--node-cost and --node-costs exclude each other: keep one");
  set.text("node-costs", o.node_costs, "FILE",
           "the same for links that differ: a matrix in s/byte with one row per sending node")
      .refused_if(no_nodes, kNeed);
}

Option& dispatch_option(OptionSet& set, NodeOptions& o, const char* help) {
  return set.text("dispatch", o.dispatch, "KIND", help).one_of({"flat", "hierarchical"});
}

Option& ranks_per_node_option(OptionSet& set, NodeOptions& o, const char* help) {
  return set.count("ranks-per-node", o.ranks_per_node, help).range(1, 65536);
}

void slowdown_options(OptionSet& set, SlowdownOptions& o, const SlowdownHelp& help) {
  constexpr const char* kOne =
      "--slowdown, --variability and --slowdown-from exclude each other: keep one";
  set.call(
         "slowdown", "S,S,...", help.slowdown,
         [&o](const std::string& v) { o.slowdown = parse_slowdown(v); },
         [&o] { return Json(o.slowdown); })
      .excludes("variability", kOne)
      .excludes("slowdown-from", kOne);
  set.text("variability", o.variability, "KIND", help.variability)
      .one_of({"none", "low", "high"})
      .excludes("slowdown-from", kOne);
  set.text("slowdown-from", o.slowdown_from, "SOURCE", help.from).offers(slowdown_words());
}

void replan_options(OptionSet& set, ReplanOptions& o, const ReplanHelp& help,
                    const std::function<bool()>& no_moves, const char* no_moves_sentence,
                    const std::function<bool()>& no_horizon, const char* no_horizon_sentence) {
  set.number("max-moves", o.max_moves, help.max_moves)
      .range(0, 1 << 24)
      .refused_if(no_moves, no_moves_sentence);
  set.real("horizon", o.horizon, "STEPS", help.horizon)
      .range(0, 1e12)
      .refused_if(no_horizon, no_horizon_sentence);
}

void move_cost_options(OptionSet& set, MoveCostOptions& o, std::function<bool()> nothing_moves,
                       const char* sentence) {
  set.real("expert-bytes", o.expert_bytes, "B",
           "with --bandwidth: bytes of an expert's weights (0 = from the profile's model)")
      .range(0, 1e15)
      .needs("bandwidth", "--expert-bytes needs --bandwidth: add it, or drop --expert-bytes");
  set.real("bandwidth", o.bandwidth, "B/S",
           "with --max-moves: bytes per second at which weights move (0 = moves cost nothing)")
      .range(0, 1e15)
      .refused_if(std::move(nothing_moves), sentence);
}

void output_options(OptionSet& set, OutputOptions& o) {
  set.group("Output", false);
  set.text("output,o", o.output, "FILE", "file to write");
  set.flag("overwrite", o.overwrite, "replace an existing file");
}

Option& format_option(OptionSet& set, std::string& format) {
  return set.text("format", format, "KIND", "table, csv or json, on standard output")
      .one_of({"table", "csv", "json"});
}

Option& table_or_json_option(OptionSet& set, std::string& format) {
  return set.text("format", format, "KIND", "table or json, on standard output")
      .one_of({"table", "json"});
}

Option& prometheus_option(OptionSet& set, std::string& path) {
  return set.text("prometheus", path, "FILE",
                  "also write the numbers as metrics of Prometheus, for node_exporter's textfile "
                  "collector; replaces FILE");
}

void quiet_option(OptionSet& set, bool& quiet) {
  set.flag("quiet,q", quiet, "print errors and results only");
}

}  // namespace gembench::inline cli
