#include "harness/cli/run_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/drift_option.hpp"
#include "harness/cli/offered_words.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/cli/shared_options.hpp"
#include "harness/cli/strategy_rules.hpp"

namespace gembench::inline cli {
namespace {

using Json = OptionSet::Json;

constexpr double kLeastSoak = 2;  // s; with less, half a window has too few readings

bool adapts(const PlanningOptions& o) {
  return std::ranges::any_of(o.placements,
                             [](const auto& p) { return parse_placement_name(p).adapts; });
}

void planning_options(OptionSet& set, RunCommand& o) {
  set.group("Placement");
  set.names("placements", o.placements, "A,B,...",
            "strategies to compare; the first is the reference")
      .offers(strategy_words())
      .correct(
          [&o] { std::ranges::transform(o.placements, o.placements.begin(), as_known_placement); })
      .refused_if([&o] { return o.placements.empty(); },
                  "--placements names no strategy: see gembench list")
      .refused_if(
          [&o] {
            return o.drift.empty() && std::ranges::any_of(o.placements, [](const auto& name) {
                     return parse_placement_name(name).oracle;
                   });
          },
          "oracle: plans for a --drift and there is none: add --drift, or drop oracle:");
  set.text("profile", o.profile, "FILE", "profile.h5 to plan with (default: measure one first)");
  set.count("plan-steps", o.plan_steps,
            "number of steps to plan on, before the measured ones (default: 1024 synthetic, 32 "
            "router, all earlier steps of a trace)")
      .range(1, 1e6)
      .excludes("in-sample", "--in-sample plans on the measured steps: drop it, or --plan-steps");
  cost_option(set, o.cost);
  slot_options(set, o);
  // MPI knows the nodes of existing ranks.
  node_cost_options(set, o, [&o] { return o.ranks.has_value(); });
  set.flag("in-sample", o.in_sample,
           "plan on the measured steps themselves (stated in the header)");
}

void drift_option(OptionSet& set, RunCommand& o) {
  set.text("drift", o.drift, "WHAT@STEP,...",
           "inject a drift from a measured step on: slow (each emulated slowdown moves to the next "
           "rank), task (experts change roles)")
      .refused_if(
          [&o] { return o.routing == "router"; },
          "--drift cannot change loads that the router decides: drop it, or --routing router")
      .refused_if(
          [&o] {
            return std::ranges::any_of(parse_drift(o.drift), [&o](const InjectedDrift& drift) {
              return drift.step >= o.steps;
            });
          },
          "--drift begins after the last step: lower it, or add --steps")
      .refused_if(
          [&o] {
            return !o.slowed() &&
                   std::ranges::any_of(parse_drift(o.drift), [](const InjectedDrift& drift) {
                     return drift.kind == InjectedDrift::Kind::slow;
                   });
          },
          "--drift slow moves emulated slowdowns: add --slowdown, --variability or "
          "--slowdown-from");
}

void length_options(OptionSet& set, RunCommand& o) {
  set.call(
         "steps", "N",
         "measured steps of every placement: exactly N; with --precision or --max-seconds at most "
         "N (default: as many as these need, or 40 if nothing is compared)",
         [&o](const std::string& v) {
           o.steps = parse_count("steps", v);
           o.steps_stated = true;
         },
         [&o] { return o.steps_stated ? Json(o.steps) : Json(); })
      .range(1, 1e7);
  set.amount("precision", o.precision, "P",
             "stop when every interval against the first placement is within +-P percentage points "
             "(default 2 without --steps; 0 = never)")
      .range(0, 100)
      .refused_if([&o] { return o.precision.value_or(0) > 0 && !compares_placements(o); },
                  "--precision needs several placements that do not change: name several, without "
                  "adapt:, oracle: and --drift, or give --steps instead");
  set.amount(
         "max-seconds", o.max_seconds, "S",
         "stop after at most S seconds of measuring (default 150 with --precision; 0 = no limit)")
      .range(0, 1e9);
  set.call(
         "block", "N|auto",
         "consecutive steps of one placement; auto: 1 if the experts of all placements fit in "
         "memory, else up to 8, with at least 6 blocks",
         [&o](const std::string& v) {
           o.block = v == "auto" ? std::nullopt : std::optional(parse_count("block", v));
         },
         [&o] { return o.block ? Json(*o.block) : Json("auto"); }, "auto")
      .range(1, 1e6);
  set.count("warmup,w", o.warmup,
            "steps run and discarded after every switch of placement (default 2; 0 if placements "
            "alternate step by step)")
      .range(0, 1e6);
}

void launch_option(OptionSet& set, RunCommand& o) {
  const auto graph = [&o] { return o.launch == "graph"; };
  set.text("launch", o.launch, "HOW",
           "phases (the host launches, waits and reads the clock), or graph: on GPUs a step is one "
           "CUDA graph without barriers, timed by stamps of its kernels")
      .one_of({"phases", "graph"})
      .refused_if([&o, graph] { return graph() && !device_kind(o.device).gpu; },
                  "--launch graph is for GPUs: add --device cuda, or drop it")
      .refused_if([&o, graph] { return graph() && o.transport == "mpi"; },
                  "--launch graph needs sends without the host: drop --transport mpi, or --launch")
      .refused_if([&o, graph] { return graph() && o.dispatch != "flat"; },
                  "--launch graph needs flat dispatch: drop --dispatch, or --launch")
      .refused_if([&o, graph] { return graph() && o.whole_steps; },
                  "--launch graph runs whole steps and still times their phases: drop "
                  "--whole-steps")
      .refused_if([&o, graph] { return graph() && (o.adapt || adapts(o)); },
                  "--launch graph has another clock than the profile that adaptation compares "
                  "ranks' speeds with: drop --adapt and adapt:, or --launch")
      .refused_if([&o, graph] { return graph() && o.clock != "auto"; },
                  "--launch graph brings its own clock, the GPU's: drop --clock");
}

void measure_options(OptionSet& set, RunCommand& o) {
  set.group("Measurement");
  length_options(set, o);
  drift_option(set, o);
  set.flag("adapt", o.adapt,
           "measure the last placement once more with live adaptation (like adapt:NAME in "
           "--placements; oracle:NAME is replanned with knowledge of the drift)");
  const auto none_adapts = [&o] { return !adapts(o); };
  constexpr const char* kAdapting =
      "--max-moves and --horizon are for live adaptation: add --adapt, or drop them";
  replan_options(set, o.replan, kReplanHelp, none_adapts, kAdapting, none_adapts, kAdapting);
  set.flag("resident", o.resident,
           "keep the experts of all placements in memory, for any --block, so that none move")
      .refused_if(
          [&o] {
            return o.placements.size() == 1 && !parse_placement_name(o.placements[0]).is_dynamic();
          },
          "--resident needs several placements: name more, or drop it");
  set.flag("whole-steps", o.whole_steps,
           "time whole steps only, without barriers, waits and clock readings between phases (wall "
           "clock)")
      .refused_if([&o] { return o.slowed(); },
                  "emulated slowdowns need the readings that --whole-steps drops: drop one")
      .refused_if([&o] { return o.clock == "cpu-time"; },
                  "--clock cpu-time times phases and --whole-steps has none: drop one");
  launch_option(set, o);
  set.text("check", o.check, "WHEN", "compare outputs with a reference: none, last or all steps")
      .one_of({"none", "last", "all"});
  set.real("non-moe-time", o.non_moe_time, "S",
           "seconds per layer added for attention and the rest")
      .range(0, 1e3);
}

void device_options(OptionSet& set, DeviceOptions& o) {
  const auto no_gpu = [&o] { return !device_kind(o.device).gpu; };
  constexpr const char* kForGpus =
      "--transport, --lock-clocks and --expert-products are for GPUs: add --device cuda, or drop "
      "them";
  set.group("Ranks");
  set.text("device", o.device, "KIND", "cpu, or cuda (a GPU for every rank)")
      .one_of(device_names())
      .refused_if([&o] { return !device_kind(o.device).shows_cpu_time && o.clock == "cpu-time"; },
                  "--clock cpu-time cannot measure a GPU's work: drop it, GPUs use wall");
  set.text("transport", o.transport, "KIND",
           "with device cuda: nccl, mpi (works if ranks share a GPU), or auto = nccl")
      .one_of({"auto", "nccl", "mpi"})
      .refused_if(no_gpu, kForGpus);
  set.count("lock-clocks", o.lock_clocks,
            "lock the GPUs' clocks at this many MHz while the program runs (needs the permission)")
      .range(1, 1e5)
      .refused_if(no_gpu, kForGpus);
  set.text("expert-products", o.expert_products, "WAY",
           "with device cuda: how experts' matrix products are computed: cublas-grouped, cublas, "
           "cublaslt, cutlass, or auto = the fastest that is right, for each load")
      .one_of({"auto", "cublas-grouped", "cublas", "cublaslt", "cutlass"})
      .refused_if(no_gpu, kForGpus);
}

void clock_option(OptionSet& set, DeviceOptions& o) {
  set.text("clock", o.clock, "KIND", "auto, wall, or cpu-time (ranks share CPUs)")
      .one_of({"auto", "wall", "cpu-time"});
}

void soak_option(OptionSet& set, SessionOptions& o) {
  set.call(
         "soak", "S|auto",
         "before measuring, run untimed steps until temperature, clock and step time are steady, "
         "for at most S seconds (0 = none); auto: 180 on GPUs that report their temperature or "
         "clock, else 0",
         [&o](const std::string& v) {
           o.soak = v == "auto" ? std::nullopt : std::optional(parse_real("soak", "S", v));
           if (o.soak && *o.soak > 0 && *o.soak < kLeastSoak) {
             throw usage_error(fmt::format(
                 "--soak {} is too short to tell whether anything is steady: give at least {:g} s, "
                 "or 0 for none",
                 v, kLeastSoak));
           }
         },
         [&o] { return o.soak ? Json(*o.soak) : Json("auto"); }, "auto")
      .range(0, 3600);
}

void rank_options(OptionSet& set, SessionOptions& o) {
  device_options(set, o);
  dispatch_option(set, o,
                  "flat (a token goes to every rank that needs it), or hierarchical (it crosses "
                  "the network once per node)");
  ranks_per_node_option(
      set, o,
      "treat every N ranks as a node, wherever they run (default: nodes as MPI reports them)");
  clock_option(set, o);
  slowdown_options(set, o,
                   {"emulated slowdown of every rank, 1 = none",
                    "emulated spread of rank speeds: none, low (7.7 %) or high (27.7 %)",
                    "emulated slowdowns drawn from real GPUs' (builtin:NAME) or read from a file, "
                    "one factor per rank; scaled so that the fastest rank has 1"});
  set.real("profile-seconds", o.profile_seconds, "S", "time to spend on measuring a profile")
      .range(0, 3600);
  soak_option(set, o);
}

void seed_option(OptionSet& set, SessionOptions& o) {
  set.group("Other");
  set.seed(o.seed, "of weights, inputs, synthetic loads and the order of blocks");
  set.shape_result(false);
}

void hang_option(OptionSet& set, SessionOptions& o) {
  set.real("hang-timeout", o.hang_timeout, "S",
           "end the job with exit code 5 when a rank makes no progress for S seconds of measuring "
           "(0 = never)")
      .range(0, 1e9);
}

void comparison_options(OptionSet& set, ProfileCommand& o) {
  constexpr const char* kComparison = "--placement needs a comparison: add --compare OLD.h5";
  const auto no_comparison = [&o] { return o.compare.empty(); };
  set.group("Comparison");
  set.text("compare", o.compare, "FILE",
           "an older profile.h5, to report which ranks have become faster or slower since; "
           "--output may be left out");
  set.text(
         "with", o.with, "FILE",
         "judge this profile.h5, with --compare or --history, without measuring and without mpirun")
      .refused_if([&o] { return o.compare.empty() && o.history.empty(); },
                  "--with needs a comparison: add --compare OLD.h5 or --history FOLDER")
      .excludes("output", "--with measures nothing to write to --output: drop one");
  set.text("history", o.history, "FOLDER",
           "profiles of the same command over time: names devices that have become slower than "
           "their own past; add to it with --output FOLDER/NAME.h5")
      .excludes("anonymous",
                "--history needs the names of devices, which --anonymous hides: drop one");
  set.text("placement", o.placement, "FILE",
           "current placement.json: says whether a replan pays now, on the loads of --trace")
      .refused_if(no_comparison, kComparison)
      .needs("trace", "--placement needs loads to be judged on: add --trace FILE");
  cost_option(set, o.cost)
      .needs("placement",
             "--cost judges a replan: name the current placement with --placement FILE");
  const auto no_question = [&o] { return o.placement.empty(); };
  replan_options(set, o.replan, kReplanHelp, no_question,
                 "--max-moves judges a replan: name the current placement with --placement FILE",
                 no_question,
                 "--horizon judges a replan: name the current placement with --placement FILE");
  move_cost_options(
      set, o, no_question,
      "--bandwidth judges a replan: name the current placement with --placement FILE");
  set.only(
      [&o] { return !o.with.empty(); },
      "compare with history placement trace routing cost max-moves horizon expert-bytes bandwidth "
      "prometheus format quiet",
      "--with compares two files and measures nothing: drop --{}");
}

void anonymous_option(OptionSet& set, SessionOptions& o) {
  set.flag("anonymous", o.anonymous,
           "write no names of hosts, users and GPUs, and no paths in the home folder");
}

void run_output_options(OptionSet& set, RunCommand& o) {
  output_options(set, o);
  anonymous_option(set, o);
  set.flag("resume", o.resume,
           "continue FILE.partial of the same command; a finished FILE is only printed")
      .excludes("overwrite", "--resume and --overwrite exclude each other: drop one");
  set.text("record", o.record, "FILE",
           "with --routing router: write the router's decisions to this trace.h5, planning steps "
           "first")
      .refused_if([&o] { return o.routing != "router"; },
                  "--record writes the router's decisions: add --routing router, or drop it");
  format_option(set, o.format);
  quiet_option(set, o.quiet);
  set.refuse_if([&o] { return o.output.empty() && !o.dry_run; },
                "run needs --output FILE for its results");
}

}  // namespace

void define(OptionSet& set, RunCommand& o) {
  model_options(set, o, true);
  routing_options(set, o,
                  "tokens of a step over all ranks; 64:16K:x4 or 64,256 runs each value and adds "
                  "-N to FILE's name (default: 1024, or as in the trace)",
                  true);
  planning_options(set, o);
  measure_options(set, o);
  rank_options(set, o);
  run_output_options(set, o);
  seed_option(set, o);
  set.flag("dry-run", o.dry_run,
           "plan and print what a run would need (time, memory, file size); writes nothing");
  set.count("ranks", o.ranks,
            "with --dry-run: predict a run on N ranks, without these ranks and without mpirun; "
            "--profile may then be builtin:NAME")
      .range(1, 65536)
      .needs("dry-run", "--ranks of run is for dry runs: add --dry-run, or drop it")
      .refused_if(
          [&o] { return o.routing == "router"; },
          "the router's choices are known only when it runs: drop --ranks, or use --routing "
          "synthetic");
  set.real("timeout", o.timeout, "S",
           "end the job with exit code 5 after S seconds and keep finished blocks (0 = never)")
      .range(0, 1e9);
  hang_option(set, o);
  set.rule([&set, &o] {
    std::vector<std::string> strategies;
    for (const auto& name : o.placements) strategies.push_back(parse_placement_name(name).strategy);
    std::vector<std::string_view> anyway{"seed"};
    // Experts move into slots that a strategy left empty.
    if (adapts(o)) anyway.emplace_back("spare-slots");
    require_takers(set, strategies, o, anyway);
  });
}

void define(OptionSet& set, ProfileCommand& o) {
  model_options(set, o, true);
  routing_options(set, o, "tokens of a step over all ranks (default: 1024)", false);
  rank_options(set, o);
  comparison_options(set, o);
  output_options(set, o);
  anonymous_option(set, o);
  prometheus_option(set, o.prometheus);
  format_option(set, o.format);
  quiet_option(set, o.quiet);
  seed_option(set, o);
  hang_option(set, o);
}

void define(OptionSet& set, ProbeCommand& o) {
  set.group("Load");
  set.text("model", o.model, "NAME",
           "whose experts are computed, one layer of them ('gembench list'), or a config.json")
      .offers(model_words())
      .stated(o.model_stated);
  set.real("scale", o.scale, "F", "divide hidden and ffn by F");
  tokens_option(set, o, "tokens of a step over all ranks (default: 1024)")
      .refused_if([&o] { return o.token_sweep.size() > 1; },
                  "probe accepts one value for --tokens, only run accepts several");
  device_options(set, o);
  clock_option(set, o);
  set.call(
      "slowdown", "S,S,...", "emulated slowdown of every rank, 1 = none",
      [&o](const std::string& v) { o.slowdown = parse_slowdown(v); },
      [&o] { return Json(o.slowdown); });
  set.group("Verdict");
  set.real("max-seconds", o.probe_seconds, "S",
           "time for all of it, from MPI's start on, given enough CPU time")
      .range(1, 60);
  set.real("slower-than", o.slower_than, "SHARE",
           "name ranks that are certainly slower by half of this share, and possibly by all of it: "
           "0.05 or 5%")
      .range(0.001, 10);
  set.text(
      "history", o.history, "FOLDER",
      "earlier probes of the same command: also name devices that are slower than they were "
      "then, which is all that a single rank can tell; add to it with --output FOLDER/NAME.h5");
  output_options(set, o);
  prometheus_option(set, o.prometheus);
  table_or_json_option(set, o.format);
  quiet_option(set, o.quiet);
  set.group("Other");
  hang_option(set, o);
}

void settle(RunCommand& o) {
  if (!o.trace.empty() && o.routing == "synthetic") o.routing = "trace";
  if (std::exchange(o.adapt, false)) {
    const auto last =
        std::find_if(o.placements.rbegin(), o.placements.rend(),
                     [](const auto& name) { return !parse_placement_name(name).is_dynamic(); });
    if (last != o.placements.rend()) o.placements.push_back("adapt:" + *last);
  }
  settle_length(o);
}

void settle(ProfileCommand& o) {
  if (!o.trace.empty() && o.routing == "synthetic") o.routing = "trace";
}

}  // namespace gembench::inline cli
