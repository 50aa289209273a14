#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "placement/recordings/serving.hpp"
#include "placement/strategies/replan.hpp"

namespace gembench::inline cli {

// The options of every command: one plain struct per command, built from option groups that several
// commands share. A function takes the smallest group that it needs. Nothing here knows about
// parsing.

// ---- Groups

struct ModelOptions {
  std::string model = "gpt-oss-20b";
  bool model_stated = false;  ///< by the user, not by default
  double scale = 1;
  std::optional<int> layers, experts, topk, hidden, ffn, weight_layers;
  std::string dtype = "auto";
  std::string taken_from_trace;  ///< "experts 8 (not 32)": not the model's, by adopt_trace_shape
};

/// Synthetic loads.
struct LoadOptions {
  std::optional<int> tokens;     ///< of the current step; the first of a sweep
  std::vector<int> token_sweep;  ///< all that were asked for
  std::string preset = "serving";
  std::optional<double> alpha;   ///< of preset power-law
  std::vector<std::string> set;  ///< NAME=VALUE of the preset's parameters
};

struct RoutingOptions : LoadOptions {
  std::vector<int> tokens_per_rank;  ///< shares of a step's tokens; empty: equal
  std::string routing = "synthetic";
  std::string trace;
};

struct DeviceOptions {
  std::string device = "cpu";
  std::string transport = "auto";  ///< of device cuda: auto, nccl or mpi
  std::optional<int> lock_clocks;  ///< MHz, of device cuda
  std::string clock = "auto";
  std::string expert_products = "auto";  ///< of device cuda: how they are computed
};

struct NodeOptions {
  std::string dispatch = "flat";      ///< or hierarchical
  std::optional<int> ranks_per_node;  ///< stated; none: as MPI finds them
  double node_cost = 0;    ///< s per byte of dispatch between nodes that gem+ adds to a step
  std::string node_costs;  ///< file: the same from node to node, where links differ
};

struct SlowdownOptions {
  std::vector<double> slowdown;
  std::string variability = "none";
  std::string slowdown_from;  ///< builtin:NAME or a file of factors

  [[nodiscard]] bool slowed() const {
    return !slowdown.empty() || variability != "none" || !slowdown_from.empty();
  }
};

/// Which speeds are planned on.
struct SpeedOptions {
  std::string speeds = "shrunk";  ///< by their reliability, or as measured
  std::vector<std::string>
      history;  ///< older profiles of the same ranks: files, or folders of them
};

struct SlotOptions {
  int spare_slots = 0;  ///< per rank
  int replicas = 0;     ///< beyond the first of an expert, a layer in all
  std::string token_split = "even";
};

/// The cost of moving experts.
struct MoveCostOptions {
  double expert_bytes = 0;  ///< of one expert's weights; 0 = the model's
  double bandwidth = 0;     ///< bytes per second that weights move at; 0 = moves cost nothing
};

/// Systems that rebalance every step, and what that costs.
struct PerStepOptions : MoveCostOptions {
  PerStepOptions() { bandwidth = 450e9; }  // one direction of an H100's NVLink
  std::vector<std::string> per_step;
  int least_tokens = 1;  ///< of a replica that is fetched
  double hidden = 0;     ///< share of the time of moving weights that other work hides
  double solve_us = 0;   ///< us that planning a layer takes
};

struct PlanningOptions {
  std::vector<std::string> placements = {"linear", "eplb", "gem"};
  std::string profile;
  std::optional<int> plan_steps;
  bool in_sample = false;
  std::string cost = "auto";  ///< cost model for planning
};

struct MeasureOptions {
  int steps = 40;                     ///< exact, or an upper limit if the run may end early
  bool steps_stated = false;          ///< by the user
  std::optional<double> precision;    ///< half width of intervals to reach, percentage points
  std::optional<double> max_seconds;  ///< of measuring
  std::optional<int> warmup;          ///< none: as the alternation needs it
  std::optional<int> block;           ///< none: auto
  bool resident = false;
  bool whole_steps = false;
  std::string launch = "phases";  ///< or graph: a step is launched at once
  std::string check = "last";
  double non_moe_time = 0;
  std::string drift;  ///< injected drift: slow@STEP, task@STEP
};

struct OutputOptions {
  std::string output;
  bool overwrite = false;
  std::string format = "table";
  bool quiet = false;
};

/// Options that `run` and `profile` share. `profile` uses a linear placement and measures no steps:
/// its planning and measuring options have defaults, and it uses all steps of a trace.
struct SessionOptions : ModelOptions,
                        RoutingOptions,
                        DeviceOptions,
                        NodeOptions,
                        SlowdownOptions,
                        SlotOptions,
                        PlanningOptions,
                        MeasureOptions,
                        OutputOptions {
  ReplanOptions replan;  ///< of live adaptation, or of the replan that `profile --placement` judges
  double profile_seconds = 5;
  std::optional<double> soak;  ///< s at most, before measuring; none: auto
  std::uint64_t seed = 1;
  double hang_timeout = 300;  ///< s, 0 = none
  bool anonymous = false;     ///< files without names of hosts and users
};

/// Options that `plan` and `score` share.
struct ProblemOptions : SpeedOptions, SlowdownOptions, SlotOptions, NodeOptions, OutputOptions {
  std::string trace;
  std::string profile;
  std::optional<int> ranks;
  std::optional<int> plan_steps;
  double split = 0;           ///< share of the steps to plan on; 0 = use plan_steps
  std::string judge;          ///< trace to judge on; empty: the other steps, or all
  double slowdown_floor = 0;  ///< share of a rank's smallest latency that no slowdown stretches
  std::string cost = "auto";
  double token_bytes = 0;  ///< sent for one token; 0 = the model's
  int nodes = 1, groups = 0;
  std::string from;  ///< placement from which moves are counted, and which is rebalanced
  std::uint64_t seed = 1;
};

// ---- Commands

struct RunCommand : SessionOptions {
  static constexpr const char* kName = "run";
  bool adapt = false;  ///< the last placement also with live adaptation
  bool resume = false;
  std::string record;  ///< trace.h5 for the router's decisions
  bool dry_run = false;
  std::optional<int> ranks;        ///< for a dry run without these ranks
  double timeout = 0;              ///< s, 0 = none
  std::string config_from;         ///< results.h5 whose run is replayed
  std::string command_line;        ///< as one text, for a shell
  std::string program;             ///< as it was called
  std::vector<std::string> words;  ///< after it, as they were given
  bool without_launcher =
      false;  ///< started without mpirun or srun, so there is one rank by default
};

struct ProfileCommand : SessionOptions, MoveCostOptions {
  static constexpr const char* kName = "profile";
  ProfileCommand() { profile_seconds = 60; }
  std::string compare;     ///< profile.h5 to compare with
  std::string with;        ///< profile.h5 to compare, instead of measuring one
  std::string history;     ///< folder of profiles, for changes over time
  std::string placement;   ///< current placement, to judge a replan
  std::string prometheus;  ///< file for a monitoring system
};

/// Which ranks are slow, in limited time: one layer's experts, without planning.
struct ProbeCommand : SessionOptions {
  static constexpr const char* kName = "probe";
  ProbeCommand() {
    layers = 1;
    steps = 1;
    in_sample = true;
    placements = {"linear"};
    hang_timeout = 60;
  }
  double probe_seconds = 30;  ///< of all of it, from MPI's start on, given enough CPU time
  double slower_than = 0.04;  ///< share: who is certainly slower by half of it, and possibly by all
  std::string history;        ///< folder of earlier probes
  std::string prometheus;     ///< file for a monitoring system
};

struct PlanCommand : ProblemOptions, MoveCostOptions {
  static constexpr const char* kName = "plan";
  PlanCommand() { replan.max_moves = 0; }
  std::vector<std::string> files;  ///< it takes none
  std::string strategy = "gem";
  ReplanOptions replan;  ///< of `from`; no moves: it is planned from scratch
  bool learning_curve = false;
};

inline constexpr int kLeastDraws = 6;  ///< fewer give no interval

struct ScoreCommand : ProblemOptions, PerStepOptions {
  static constexpr const char* kName = "score";
  std::vector<std::string> strategies;
  bool ablation = false;
  std::vector<std::string> files;
  std::optional<int> replan_every;  ///< judged steps; none: planned once
  int max_moves = 0;                ///< a layer and replanning; 0 = planned afresh
  std::optional<int> draws;         ///< of what is uncertain; none: no intervals

  /// The strategies to plan with and judge; a default selection if none is named.
  [[nodiscard]] std::vector<std::string> planned() const {
    return strategies.empty() && files.empty() ? PlanningOptions{}.placements : strategies;
  }
};

struct AdviseCommand : ProblemOptions {
  static constexpr const char* kName = "advise";
  std::vector<std::string> files;       ///< it takes none
  std::string against = "linear";       ///< what runs today
  std::vector<std::string> strategies;  ///< that may be better
  double min_gain = 1;                  ///< %, of step time, that a change must save
  std::string to = "gembench";          ///< format of the placement that is written

  /// `against`, then the strategies, or a default selection.
  [[nodiscard]] std::vector<std::string> named() const;
};

/// How much strategies gain by imbalance of loads and spread of speeds, on made loads.
struct SensitivityCommand : ModelOptions, LoadOptions, ProblemOptions {
  static constexpr const char* kName = "sensitivity";
  SensitivityCommand() { split = 0.5; }
  std::vector<std::string> strategies = {"linear", "eplb", "gem"};  ///< the first is the reference
  std::vector<double> alphas = {0, 0.4, 0.8, 1.2};                  ///< of power-law loads
  std::vector<double> spreads = {0, 0.077, 0.277};  ///< slowest over fastest rank, minus 1
  int draws = 6;                                    ///< of loads, and of which rank is slow
  int steps = 128;                                  ///< of a draw
};

struct TraceMakeCommand : ModelOptions, LoadOptions, OutputOptions {
  int steps = 1024;
  std::optional<int> ranks;  ///< of presets that speak of ranks
  std::uint64_t seed = 1;
};

/// How to group recorded tokens into steps.
struct BatchingOptions {
  std::optional<int> window;  ///< tokens of a step
  std::optional<int> batch;   ///< requests that run at once
  bool shuffle = false;       ///< admit them in random order
  std::string arrivals;       ///< CSV of requests to serve
  ServingSpec engine;         ///< that serves them; its max_steps also ends a `batch`
  bool counts_only = false;
  std::string requests;  ///< CSV that divides ids into requests
  int id_bytes = 1;
};

/// Steps are read, or drawn from recorded totals as `trace make` draws its own.
struct TraceImportCommand : TraceMakeCommand, BatchingOptions {
  std::string recording;           ///< of the recording, or auto
  std::vector<std::string> files;  ///< of the recording
  std::string array;               ///< of a .npz
  bool expand_multinomial = false;
  double rescale = 0.01;  ///< largest difference between layers of an imported step
};

/// Traces of one model, one after another.
struct TraceJoinCommand : OutputOptions {
  std::vector<std::string> files;
};

struct TraceInfoCommand {
  std::string file;
  std::string format = "table";
  std::optional<int> learning_ranks = {};  ///< of the learning curve; none: it is not asked for
};

struct ConvertCommand : OutputOptions {
  static constexpr const char* kName = "convert";
  std::string to;                    ///< format that is written
  std::string from_format = "auto";  ///< format that is read
  // Of the placement, where its file does not say.
  std::optional<int> ranks, experts, layers;
  std::string model;
  std::optional<int> first_layer;   ///< index of the first MoE layer in the model
  std::optional<int> model_layers;  ///< of the whole model, dense ones included
  std::string trace;
  std::optional<int> layer, step;  ///< of the trace, whose traffic is written
  double token_bytes = 0;          ///< sent for one token; 0 = the model's
  std::string token_split = "even";
  std::vector<std::string> files;
};

struct InfoCommand {
  static constexpr const char* kName = "info";
  std::vector<std::string> files;
  std::string format = "table";
};

struct CompareCommand {
  static constexpr const char* kName = "compare";
  std::vector<std::string> files;
  std::string format = "table";
  std::string against;  ///< placement that the others are compared with, or "all"; empty: the first
  std::string summary;  ///< HDF5 file that is written instead of printing
  std::string baseline;              ///< results.h5 of an earlier run of the same command
  std::string prometheus;            ///< file for a monitoring system
  std::optional<double> fail_above;  ///< %, of step time: a slowdown that fails
  bool quiet = false;
};

struct ListCommand {
  static constexpr const char* kName = "list";
  std::string format = "table";
};

/// The completions of a shell.
struct CompletionCommand {
  static constexpr const char* kName = "completion";
  std::vector<std::string> files;  ///< the shell
};

/// The manual page.
struct ManCommand {
  static constexpr const char* kName = "man";
};

using Command =
    std::variant<ListCommand, RunCommand, ProfileCommand, PlanCommand, ScoreCommand, AdviseCommand,
                 SensitivityCommand, TraceMakeCommand, TraceImportCommand, TraceJoinCommand,
                 TraceInfoCommand, ConvertCommand, InfoCommand, CompareCommand, CompletionCommand,
                 ManCommand, ProbeCommand>;

}  // namespace gembench::inline cli
