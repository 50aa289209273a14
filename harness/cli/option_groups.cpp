#include "harness/cli/option_groups.hpp"

#include <fmt/format.h>

#include "harness/cli/option_builder.hpp"
#include "harness/cli/option_rules.hpp"
#include "harness/cli/option_values.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/recordings/formats.hpp"

namespace po = boost::program_options;
using json = nlohmann::ordered_json;

namespace gembench::inline cli {
namespace {

/// Adds the options of one group that write into `o`.
class Builder : public OptionBuilder {
 public:
  Builder(Options& o, std::vector<Setting>& settings) : OptionBuilder(settings), o_(o) {}

  /// Traces know no widths: a scaled model has the loads of the whole one.
  po::options_description model(const std::string& command) {
    po::options_description d("Model");
    text(d, "model", o_.model, "NAME", "shape preset; see 'gembench list'");
    real(d, "scale", o_.scale, "F", "divide hidden and ffn by F");
    count(d, "layers", o_.layers, "MoE layers to run (default: the model's)");
    count(d, "experts", o_.experts, "experts a layer (default: the model's)");
    count(d, "topk", o_.topk, "experts a token (default: the model's)");
    if (command == "trace") return d;
    count(d, "hidden", o_.hidden, "width of a token (default: the model's / F)");
    count(d, "ffn", o_.ffn, "inner width of an expert (default: the model's / F)");
    count(d, "weight-layers", o_.weight_layers,
          "distinct sets of weights, shared by layers in turn (default: all)");
    text(d, "dtype", o_.dtype, "T", "auto, f32 or bf16; auto = bf16 where the device has it");
    return d;
  }
  po::options_description routing(const std::string& command) {
    po::options_description d("Routing");
    sweep(d, command);
    call(
        d, "tokens-per-rank", "N,N,..",
        "tokens of every rank; of a trace's steps their shares (default: alike)",
        [&o = o_](const std::string& v) { o.tokens_per_rank = parse_counts("tokens-per-rank", v); },
        [&o = o_] { return json(o.tokens_per_rank); });
    text(d, "routing", o_.routing, "KIND", "synthetic, trace, or gate (the router decides)");
    preset(d);
    text(d, "trace", o_.trace, "FILE", "trace.h5 of 'gembench trace'; implies --routing trace");
    return d;
  }
  po::options_description planning() {
    po::options_description d("Placement");
    names(d, "placements", o_.placements, "strategies to compare, the first is the reference");
    text(d, "profile", o_.profile, "FILE", "profile.h5 to plan with (default: measure one first)");
    count(d, "plan-steps", o_.plan_steps,
          "steps that are planned on, before the measured ones (default: 1024 synthetic, 32 gate, "
          "all earlier steps of a trace)");
    cost(d);
    spare(d);
    node_costs(d);
    flag(d, "in-sample", o_.in_sample,
         "plan on the measured steps themselves (stated in the header)");
    return d;
  }
  po::options_description schedule() {
    po::options_description d("Measurement");
    call(
        d, "steps", "N",
        "measured steps of every placement: exactly N; with --precision or --max-seconds at most N "
        "(default: as many as these take, or 40 where nothing is compared)",
        [&o = o_](const std::string& v) {
          o.steps = parse_count("steps", v);
          o.steps_stated = true;
        },
        [&o = o_] { return o.steps_stated ? json(o.steps) : json(); });
    amount(d, "precision", o_.precision, "P",
           "end when every interval against the first placement is within +-P percentage points "
           "(default 2 where --steps is not given; 0 = do not look)");
    amount(d, "max-seconds", o_.max_seconds, "S",
           "end after S seconds of measuring at the latest (default 150 with --precision; 0 = no "
           "limit)");
    call(
        d, "block", "N|auto",
        "steps of a placement in a row; auto: 1, with the experts of all placements in memory, "
        "where they fit, else up to 8, in 6 blocks at least",
        [&o = o_](const std::string& v) {
          o.block = v == "auto" ? std::nullopt : std::optional(parse_count("block", v));
        },
        [&o = o_] { return o.block ? json(*o.block) : json("auto"); }, "auto");
    count(d, "warmup,w", o_.warmup,
          "steps run and discarded after every switch of placement (default 2; 0 where they "
          "alternate step by step)");
    text(
        d, "drift", o_.drift, "WHAT@STEP,..",
        "change something on purpose from a measured step on: slow (the emulated slowdowns move on "
        "by one rank), task (experts change roles)");
    flag(d, "adapt", o_.adapt,
         "measure the last placement once more with live adaptation; adapt:NAME in --placements "
         "says the same, oracle:NAME is planned anew knowing the drift");
    replanning(d);
    flag(d, "resident", o_.resident,
         "keep the experts of all placements in memory, whatever --block says: no moves");
    flag(d, "whole-steps", o_.whole_steps,
         "time whole steps only: no barriers, waits and readings between phases (wall clock)");
    text(d, "check", o_.check, "WHEN", "compare outputs with a reference: none, last or all steps");
    real(d, "non-moe-time", o_.non_moe_time, "S",
         "seconds a layer added for attention and the rest");
    return d;
  }
  po::options_description ranks() {
    po::options_description d("Ranks");
    text(d, "device", o_.device, "KIND", "cpu, or cuda (a GPU for every rank)");
    text(d, "transport", o_.transport, "KIND",
         "of device cuda: nccl, mpi (also where ranks share a GPU), or auto = nccl");
    count(d, "lock-clocks", o_.lock_clocks,
          "MHz to hold the GPUs' clocks at while the program runs (needs the rights to)");
    text(d, "dispatch", o_.dispatch, "KIND",
         "flat (a token to every rank that needs it), or hierarchical (over the network once a "
         "node)");
    count(d, "ranks-per-node", o_.ranks_per_node,
          "take every N ranks for a node, wherever they run (default: as MPI finds them)");
    text(d, "clock", o_.clock, "KIND", "auto, wall, or cpu-time (ranks share CPUs)");
    call(
        d, "slowdown", "S,S,..", "emulated slowdown of every rank, 1 = none",
        [&o = o_](const std::string& v) { o.slowdown = parse_slowdown(v); },
        [&o = o_] { return json(o.slowdown); });
    text(d, "variability", o_.variability, "KIND",
         "emulated spread of rank speeds: none, low (7.7 %) or high (27.7 %)");
    text(d, "slowdown-from", o_.slowdown_from, "SOURCE",
         "emulated slowdowns drawn like real GPUs' (builtin:NAME) or read from a file, a factor a "
         "rank; scaled so that the fastest rank has 1");
    real(d, "profile-seconds", o_.profile_seconds, "S", "time to spend on measuring a profile");
    return d;
  }
  po::options_description drifted() {
    po::options_description d("Comparison");
    text(
        d, "compare", o_.compare, "FILE",
        "an older profile.h5: which ranks have become faster or slower since; --output may be left "
        "out");
    text(d, "with", o_.with, "FILE",
         "compare this profile.h5 with it, without measuring and without mpirun");
    text(d, "placement", o_.from, "FILE",
         "placement.json in force: does a replan pay now, on the loads of --trace?");
    cost(d);
    replanning(d);
    moving(d);
    return d;
  }
  po::options_description offline() {
    po::options_description d("Planning without MPI");
    count(d, "ranks", o_.ranks, "ranks to place on (default: the profile's)");
    text(d, "trace", o_.trace, "FILE", "trace.h5 to plan on");
    text(d, "profile", o_.profile, "SOURCE",
         "profile.h5, or builtin:NAME for latencies measured by others (default: equally fast "
         "ranks)");
    count(d, "plan-steps", o_.plan_steps,
          "plan on the first N steps only; score then judges on the others (default: all)");
    real(d, "split", o_.split, "F", "the same as a share of the steps (0 = all are planned on)");
    call(
        d, "slowdown", "S,S,..", "slowdown of every rank, on top of the profile",
        [&o = o_](const std::string& v) { o.slowdown = parse_slowdown(v); },
        [&o = o_] { return json(o.slowdown); });
    text(d, "variability", o_.variability, "KIND", "none, low (7.7 %) or high (27.7 %)");
    text(d, "slowdown-from", o_.slowdown_from, "SOURCE",
         "slowdowns drawn like real GPUs' (builtin:NAME), or read from a file, a factor a rank");
    real(d, "slowdown-floor", o_.slowdown_floor, "F",
         "share of a rank's smallest latency that no slowdown stretches: time bound by memory");
    return d;
  }
  po::options_description conversion() {
    po::options_description d("Conversion");
    text(d, "to", o_.to, "FORMAT",
         fmt::format("format to write; see 'gembench list' (experimental: {})",
                     experimental_placement_formats())
             .c_str());
    text(d, "from-format", o_.from_format, "FORMAT", "format of the file; auto looks into it");
    count(d, "ranks", o_.ranks, "ranks that its slots are spread over, where it does not say");
    count(d, "experts", o_.experts, "experts a layer (default: as the highest that it names)");
    count(d, "layers", o_.layers, "MoE layers, where it has one map for all of them");
    text(d, "model", o_.model, "NAME",
         "preset that knows which layers are dense (default: the one the file names)");
    count(d, "first-layer", o_.first_layer,
          "index of the first MoE layer in the model; layers before it are dense");
    count(d, "model-layers", o_.model_layers, "layers of the model, dense ones included");
    return d;
  }
  po::options_description traffic() {
    po::options_description d("What ranks send each other (nccl-alltoallv, bench-moe)");
    text(d, "trace", o_.trace, "FILE",
         "trace.h5 with the loads; it also says which layers are dense");
    count(d, "layer", o_.layer, "MoE layer, from 0");
    count(d, "step", o_.step, "step of the trace (default: mean over all)");
    real(d, "token-bytes", o_.token_bytes, "B",
         "bytes of a token (0 = the model's that the file names)");
    return d;
  }
  po::options_description output(const std::string& command) {
    shapes_result_ = false;
    po::options_description d("Output");
    if (command != "score" && command != "compare") {
      text(d, "output,o", o_.output, "FILE", "file to write");
      flag(d, "overwrite", o_.overwrite, "replace an existing file");
    }
    if (command == "run") {
      flag(d, "resume", o_.resume,
           "continue FILE.partial of the same command; a finished FILE is only printed");
      text(d, "record", o_.record, "FILE",
           "with --routing gate: trace.h5 to write what the router decided to, steps planned on "
           "first");
    }
    if (command != "convert" && command != "trace") {
      text(d, "format", o_.format, "KIND", "table, csv or json, on standard output");
    }
    if (command == "compare") {
      text(d, "against", o_.against, "NAME",
           "placement to compare with, or all: each with each (default: the first)");
      text(d, "summary", o_.summary, "FILE", "write the numbers as HDF5 instead of printing them");
    }
    flag(d, "quiet,q", o_.quiet, "no progress on standard error");
    shapes_result_ = true;
    return d;
  }
  po::options_description other(const std::string& command) {
    po::options_description d("Other");
    if (command != "convert" && command != "compare" && command != "list") {
      d.add_options()("seed", po::value(&o_.seed)->value_name("N")->default_value(o_.seed),
                      command == "plan" || command == "score"
                          ? (takers_of("seed") + "; slowdowns that are drawn").c_str()
                          : "of weights, inputs, synthetic loads and the order of blocks");
      setting("seed", [&o = o_] { return json(o.seed); });
    }
    shapes_result_ = false;
    if (command == "run") {
      flag(d, "dry-run", o_.dry_run,
           "plan and say what a run would take: time, memory, file size; writes nothing");
      count(d, "ranks", o_.ranks,
            "of a dry run: for N ranks, without them and without mpirun; --profile may then be a "
            "builtin:NAME");
      real(d, "timeout", o_.timeout, "S",
           "end the job with exit code 5 after S seconds, finished blocks kept (0 = never)");
    }
    if (command == "run" || command == "profile") {
      real(d, "hang-timeout", o_.hang_timeout, "S",
           "end the job with exit code 5 when a rank has not moved on for S seconds while it "
           "measures (0 = never)");
    }
    shapes_result_ = true;
    d.add_options()("config", po::value(&o_.config)->value_name("FILE"),
                    "options as 'name = value' lines; the command line wins");
    if (command == "run") {
      d.add_options()("config-from", po::value(&o_.config_from)->value_name("FILE"),
                      "replay the run of a results.h5: its options, routing, placements, order");
    }
    d.add_options()("print-config", po::bool_switch(&o_.print_config),
                    "print all options in that form, and end");
    d.add_options()("help,h", "this text");
    return d;
  }
  po::options_description synthetic() {
    po::options_description d("Synthetic loads");
    preset(d);
    call(
        d, "set", "NAME=V,..", "parameters of the preset; trace info names them all",
        [&o = o_](const std::string& v) { o.set = split_list(v); },
        [&o = o_] { return json(o.set); });
    number(d, "steps", o_.steps, "steps to make, or to draw");
    return d;
  }
  po::options_description import() {
    po::options_description d(
        fmt::format("Import of recordings ('gembench list' names the formats; experimental: {})",
                    experimental_recording_formats()));
    flag(d, "expand-multinomial", o_.expand_multinomial,
         "take run totals (steps are summed up) and draw --steps steps of --tokens tokens from "
         "them");
    real(
        d, "rescale", o_.rescale, "F",
        "scale the layers of a step to the smallest where their sums differ by at most this share");
    return d;
  }
  po::options_description shape() {
    po::options_description d("Shape");
    sweep(d, "trace");
    return d;
  }
  po::options_description which(const std::string& command) {
    po::options_description d("Placement");
    if (command == "plan") {
      text(d, "strategy", o_.strategy, "NAME", "see 'gembench list'");
    } else {
      names(d, "strategies", o_.strategies, "plan these and judge them");
      flag(d, "ablation", o_.ablation,
           "also each with mean or per-step loads and with equal or measured speeds");
    }
    cost(d);
    spare(d);
    count(
        d, "ranks-per-node", o_.ranks_per_node,
        "also say how many bytes dispatch sends between nodes of N ranks (expected, not measured)");
    text(d, "dispatch", o_.dispatch, "KIND",
         "with --ranks-per-node: a token goes to every rank that needs it (flat), or once to every "
         "node (hierarchical)");
    real(d, "token-bytes", o_.token_bytes, "B",
         "with --ranks-per-node: bytes of a token (0 = the model's that the profile names)");
    node_costs(d);
    number(d, "nodes", o_.nodes, takers_of("nodes") + ": nodes that ranks are spread over");
    number(d, "groups", o_.groups,
           takers_of("groups") + ": groups of experts that stay on a node; 0 = one a node");
    text(d, "from", o_.from, "FILE",
         "placement in force, in any format that convert reads: moves are counted from it");
    if (command == "plan") {
      number(d, "max-moves", o_.max_moves,
             "mend --from by the swaps that save most, moving at most N experts a layer (0 = plan "
             "afresh)");
      real(d, "horizon", o_.horizon, "STEPS", "with --max-moves: only moves that pay within STEPS");
      moving(d);
    }
    return d;
  }

 private:
  void replanning(po::options_description& d) {
    number(d, "max-moves", o_.max_moves, "experts of a layer that one replan may move");
    real(d, "horizon", o_.horizon, "STEPS", "only moves that pay within STEPS");
  }
  void moving(po::options_description& d) {
    real(d, "expert-bytes", o_.expert_bytes, "B",
         "with --bandwidth: bytes of an expert's weights (0 = the model's that the profile "
         "names)");
    real(d, "bandwidth", o_.bandwidth, "B/S",
         "with --max-moves: bytes a second that weights move at (0 = moves cost nothing)");
  }
  void cost(po::options_description& d) {
    text(
        d, "cost", o_.cost, "MODEL",
        "what predicts a rank's time: tokens (their sum, the paper's), experts (each by itself) or "
        "auto (whichever is closer to the profile's routed loads; tokens where it holds none)");
  }
  void spare(po::options_description& d) {
    number(d, "spare-slots", o_.spare_slots,
           fmt::format("slots a rank has beyond experts/ranks (rounded up; 0 = as many as "
                       "--replicas need), for replicas or so that slow ranks hold fewer: {}",
                       takers_of("spare-slots")));
    number(d, "replicas", o_.replicas,
           fmt::format("redundant experts, N a layer, in (experts + N)/ranks slots a rank, rounded "
                       "up: {}; with --spare-slots at most N, as many as pay (0: {} fill them all)",
                       takers_of("replicas"), fillers()));
    text(d, "token-split", o_.token_split, "RULE",
         "how replicas share tokens: even, by-speed, water-fill (finish times levelled every step) "
         "or water-fill-blind (as if speeds were equal)");
  }
  void node_costs(po::options_description& d) {
    real(d, "node-cost", o_.node_cost, "S/B",
         takers_of("node-cost") + ": seconds that a byte between nodes adds to a step");
    text(d, "node-costs", o_.node_costs, "FILE",
         "the same where links differ: a matrix, a row for every node that sends, in s/byte");
  }
  void preset(po::options_description& d) {
    text(d, "preset", o_.preset, "NAME", "synthetic loads: serving, bursty or even");
  }
  /// Only `run` takes several; what runs is one at a time.
  void sweep(po::options_description& d, const std::string& command) {
    call(
        d, "tokens", "N",
        command == "run" ? "tokens of a step, all ranks together; 64:16K:x4 or 64,256 runs each, "
                           "FILE gets -N in its name (default: 1024, or as traced)"
                         : "tokens of a step, all ranks together (default: 1024)",
        [&o = o_](const std::string& v) {
          o.token_sweep = parse_sweep("tokens", v);
          o.tokens = o.token_sweep.front();
        },
        [&o = o_] {
          return o.token_sweep.size() > 1 ? json(o.token_sweep)
                 : o.tokens               ? json(*o.tokens)
                                          : json();
        });
  }
  Options& o_;
};

}  // namespace

CommandOptions options_of(const std::string& command, Options& o) {
  // The help stays within 100 columns.
  CommandOptions all{po::options_description(100, 60), {}};
  Builder build(o, all.settings);
  auto& d = all.description;
  if (command == "run" || command == "profile") {
    d.add(build.model(command)).add(build.routing(command));
    if (command == "run") d.add(build.planning()).add(build.schedule());
    d.add(build.ranks());
    if (command == "profile") d.add(build.drifted());
  } else if (command == "trace") {
    d.add(build.model(command)).add(build.shape()).add(build.synthetic()).add(build.import());
    d.add(token_recording_options(build, o));
  } else if (command == "plan" || command == "score") {
    d.add(build.offline()).add(build.which(command));
  } else if (command == "convert") {
    d.add(build.conversion()).add(build.traffic());
  }
  if (command != "list") d.add(build.output(command));
  d.add(build.other(command));
  return all;
}

}  // namespace gembench::inline cli
