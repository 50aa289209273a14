#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gembench::inline cli {

/// Every option of every subcommand, with its default. One plain struct: nothing after parsing
/// knows Boost.
struct Options {
  std::string command;
  std::string command_line;
  std::string taken_from_trace;    ///< "experts 8 (not 32)": not the model's, by with_trace_shape
  bool without_launcher = false;   ///< nobody asked for one rank: there was no mpirun or srun
  std::string program;             ///< as it was called
  std::vector<std::string> words;  ///< after it, as they were given

  // Model
  std::string model = "gpt-oss-20b";
  bool model_stated = false;  ///< by the user, not by default
  double scale = 1;
  std::optional<int> layers, experts, topk, hidden, ffn, weight_layers;
  std::string dtype = "auto";

  // Routing
  std::optional<int> tokens;         ///< of the step that runs; the first of a sweep
  std::vector<int> token_sweep;      ///< all that were asked for
  std::vector<int> tokens_per_rank;  ///< shares of a step's tokens; empty: alike
  std::string routing = "synthetic";
  std::string preset = "serving";
  std::vector<std::string> set;  ///< NAME=VALUE of the preset's parameters
  std::string trace;

  // Placement
  std::vector<std::string> placements = {"linear", "eplb", "gem"};
  std::string profile;
  std::string compare;  ///< profile.h5 to compare with
  std::string with;     ///< profile.h5 to compare, instead of measuring one
  std::optional<int> plan_steps;
  bool in_sample = false;
  std::string cost = "auto";  ///< cost model that is planned with

  // Measurement
  int steps = 40;                     ///< exactly, or at most where a run may end early
  bool steps_stated = false;          ///< by the user
  std::optional<double> precision;    ///< half width of intervals to reach, percentage points
  std::optional<double> max_seconds;  ///< of measuring
  std::optional<int> warmup;          ///< none: as the alternation needs it
  std::optional<int> block;           ///< none: auto
  bool resident = false;
  bool whole_steps = false;
  std::vector<double> slowdown;
  std::string variability = "none";
  std::string slowdown_from;  ///< builtin:NAME or a file of factors
  double slowdown_floor = 0;  ///< share of a rank's smallest latency that no slowdown stretches
  std::string device = "cpu";
  std::string transport = "auto";     ///< of device cuda: auto, nccl or mpi
  std::optional<int> lock_clocks;     ///< MHz, of device cuda
  std::string dispatch = "flat";      ///< or hierarchical
  std::optional<int> ranks_per_node;  ///< stated; none: as MPI finds them
  std::string clock = "auto";
  std::string check = "last";
  double non_moe_time = 0;
  std::string drift;   ///< what changes while it is measured: slow@STEP, task@STEP
  bool adapt = false;  ///< the last placement also with live adaptation
  double profile_seconds = 5;
  std::uint64_t seed = 1;

  // Output
  std::string output;
  bool overwrite = false;
  bool resume = false;
  std::string record;  ///< trace.h5 that what the router decided is written to
  std::string format = "table";
  std::string against;  ///< placement that compare compares with, or "all"; empty: the first
  std::string summary;  ///< HDF5 file that compare writes instead of printing
  bool quiet = false;

  // Job
  bool dry_run = false;
  double timeout = 0;         ///< s, 0 = none
  double hang_timeout = 300;  ///< s, 0 = none
  std::string config;
  std::string config_from;  ///< results.h5 whose run is replayed
  bool print_config = false;

  // trace, plan, score, compare
  std::optional<int> ranks;
  std::string strategy = "gem";
  std::vector<std::string> strategies;
  int spare_slots = 0;  ///< per rank
  int replicas = 0;     ///< beyond the first of an expert, a layer in all
  std::string token_split = "even";
  int nodes = 1, groups = 0;
  std::string from;         ///< placement.json that moves are counted from, and that is mended
  double node_cost = 0;     ///< s per byte of dispatch between nodes that gem+ adds to a step
  std::string node_costs;   ///< file: the same from node to node, where links differ
  double token_bytes = 0;   ///< sent for one token; 0 = the model's
  int max_moves = 0;        ///< experts a layer that may move in a replan; plan: 0 = afresh
  double horizon = 1000;    ///< steps in which a move must pay
  double expert_bytes = 0;  ///< of one expert's weights; 0 = the model's
  double bandwidth = 0;     ///< bytes per second that weights move at; 0 = moves cost nothing
  double split = 0;         ///< share of the steps that is planned on; 0 = as plan_steps says
  bool ablation = false;
  bool expand_multinomial = false;
  double rescale = 0.01;           ///< most that layers of an imported step may differ by
  std::vector<std::string> files;  ///< positional arguments

  // convert; of a placement's file, where it does not say
  std::string to;                    ///< format that is written
  std::string from_format = "auto";  ///< format that is read
  std::optional<int> first_layer;    ///< index of the first MoE layer in the model
  std::optional<int> model_layers;   ///< of the whole model, dense ones included
  std::optional<int> layer, step;    ///< of the trace, whose traffic is written

  // trace import of recordings of tokens
  std::optional<int> window;  ///< tokens of a step
  std::optional<int> batch;   ///< requests that run at once
  bool shuffle = false;       ///< admit them in random order
  std::string arrivals;       ///< CSV of requests to serve
  double step_seconds = 0;    ///< a step of the simulated engine takes
  double token_seconds = 0;   ///< that a token adds
  int max_batch_tokens = 2048;
  int max_steps = 0;  ///< 0 = all
  bool counts_only = false;
  std::string requests;  ///< CSV that cuts ids into requests
  int id_bytes = 1;
};

/// Parses `gembench COMMAND ...`, then what --config names: the command line wins. Usage error,
/// with the remedy, for anything unknown, misspelt (prefixes are not guessed) or out of range.
/// `text` is set when there is nothing to run but something to print: help, version,
/// --print-config.
struct Parsed {
  Options options;
  std::optional<std::string> text;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

/// JSON of the options that shape a result, as stored there: ranks must agree on them and --resume
/// needs the same. Not where and how results are shown.
[[nodiscard]] std::string to_json(const Options& options);
/// All options of the command as `name = value` lines, which --config reads.
[[nodiscard]] std::string to_config(const Options& options);

}  // namespace gembench::inline cli
