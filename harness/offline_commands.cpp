#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/commands.hpp"
#include "harness/report.hpp"
#include "harness/version.hpp"
#include "harness/workload.hpp"
#include "placement/error.hpp"
#include "placement/objective.hpp"
#include "placement/placement_file.hpp"
#include "placement/score.hpp"
#include "placement/strategy.hpp"
#include "placement/synthetic.hpp"
#include "placement/trace_import.hpp"
#include "results/profile_file.hpp"
#include "results/trace_file.hpp"

namespace gembench {
namespace {

int required(const std::optional<int>& value, const char* flag, const std::string& why) {
  if (!value) throw usage_error(fmt::format("{} needs {}", why, flag));
  return *value;
}

std::string required_output(const Options& options) {
  if (options.output.empty()) throw usage_error(options.command + " needs --output FILE");
  return options.output;
}

/// What `plan` and `score` work on.
struct Problem {
  Trace plan;
  Trace judged;  ///< the steps after --plan-steps, or all
  bool held_out = false;
  Profile profile;
  std::string profile_source;
};

Problem load_problem(const Options& options) {
  if (options.trace.empty()) throw usage_error(options.command + " needs --trace FILE");
  Problem problem;
  const Trace whole = read_trace(options.trace);
  const int plan = options.plan_steps.value_or(whole.steps);
  if (plan > whole.steps) {
    throw usage_error(
        fmt::format("{} has only {} steps: lower --plan-steps", options.trace, whole.steps));
  }
  problem.plan = slice(whole, 0, plan);
  problem.held_out = plan < whole.steps;
  problem.judged = problem.held_out ? slice(whole, plan, whole.steps - plan) : whole;
  if (options.profile.empty()) {
    const int ranks = required(options.ranks, "--ranks N", options.command + " without --profile");
    problem.profile = equal_ranks(ranks, std::int64_t{whole.max_tokens_in_step()} * whole.topk);
    for (double& seconds : problem.profile.latency) seconds *= 1e-6;
    problem.profile_source = "equally fast ranks at 1 us a token, none measured";
  } else {
    problem.profile = read_profile(options.profile);
    problem.profile_source = options.profile;
    if (options.ranks && *options.ranks != problem.profile.ranks) {
      throw usage_error(fmt::format("{} holds {} ranks, not {}: drop --ranks", options.profile,
                                    problem.profile.ranks, *options.ranks));
    }
  }
  const auto slowdown = slowdown_of(options, problem.profile.ranks);
  const std::size_t knots = problem.profile.knots.size();
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    problem.profile.slowdown[rank] *= slowdown[rank];
    problem.profile.overhead[rank] *= slowdown[rank];
    for (std::size_t knot = 0; knot < knots; ++knot) {
      problem.profile.latency[rank * knots + knot] *= slowdown[rank];
    }
  }
  return problem;
}

struct Judged {
  std::string name;
  Score score;
};

/// The profile's source, with the clock it was read on when it was measured.
std::string described_source(const Problem& problem) {
  const bool measured = problem.profile.clock == "wall" || problem.profile.clock == "cpu-time";
  return measured ? fmt::format("{} (clock {})", problem.profile_source, problem.profile.clock)
                  : problem.profile_source;
}

std::string score_table(const Problem& problem, const std::vector<Judged>& rows) {
  std::string text = fmt::format(
      "# predicted by the profile of {}; judged on {} steps{}\n"
      "#                       step time (us)              bound      gap    imbalance         "
      "slowest\n"
      "# placement          mean       p50       p99        us        %    total    step    rank   "
      "  %\n",
      described_source(problem), problem.judged.steps,
      problem.held_out ? fmt::format(" after the {} planned on", problem.plan.steps)
                       : std::string(", the same that were planned on (in-sample)"));
  for (const auto& [name, s] : rows) {
    text += fmt::format(
        "  {:<12} {:>10.1f} {:>9.1f} {:>9.1f} {:>9.1f} {:>8.2f} {:>8.3f} {:>7.3f} {:>7} {:>5.1f}\n",
        name, s.step_mean * 1e6, s.step_p50 * 1e6, s.step_p99 * 1e6, s.bound * 1e6, s.gap * 100,
        s.aggregate_imbalance, s.step_imbalance, s.straggler, s.straggler_share * 100);
  }
  return text;
}

std::string score_json(const Problem& problem, const std::vector<Judged>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, s] : rows) {
    list.push_back({{"placement", name},
                    {"step_mean", s.step_mean},
                    {"step_p50", s.step_p50},
                    {"step_p99", s.step_p99},
                    {"bound", s.bound},
                    {"gap", s.gap},
                    {"aggregate_imbalance", s.aggregate_imbalance},
                    {"step_imbalance", s.step_imbalance},
                    {"slowest_rank", s.straggler},
                    {"slowest_share", s.straggler_share}});
  }
  return nlohmann::ordered_json{{"profile", problem.profile_source},
                                {"steps", problem.judged.steps},
                                {"held_out", problem.held_out},
                                {"unit", "s"},
                                {"placements", list}}
             .dump(2) +
         "\n";
}

std::string score_csv(const std::vector<Judged>& rows) {
  std::string text =
      "placement,step_mean,step_p50,step_p99,bound,gap,aggregate_imbalance,step_imbalance,"
      "slowest_rank,slowest_share\n";
  for (const auto& [name, s] : rows) {
    text += fmt::format("\"{}\",{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{},{:.6g}\n", name,
                        s.step_mean, s.step_p50, s.step_p99, s.bound, s.gap, s.aggregate_imbalance,
                        s.step_imbalance, s.straggler, s.straggler_share);
  }
  return text;
}

Trace import_trace(const Options& options) {
  if (options.files.size() != 3) {
    throw usage_error(
        "trace import needs a format and one file: gembench trace import csv|ids FILE");
  }
  const std::string& format = options.files[1];
  const std::string& path = options.files[2];
  const ModelShape model = model_of(options);
  if (format == "csv") return read_counts_csv(path, model.topk);
  if (format == "ids") {
    return read_raw_ids(path, {model.layers, model.experts, model.topk,
                               required(options.tokens, "--tokens N", "trace import ids")});
  }
  throw usage_error(fmt::format("unknown trace format '{}': choose csv or ids", format));
}

Trace synthetic_trace(const Options& options) {
  const ModelShape model = model_of(options);
  SyntheticSpec spec;
  spec.steps = options.steps;
  spec.layers = model.layers;
  spec.experts = model.experts;
  spec.topk = model.topk;
  spec.tokens = options.tokens.value_or(1024);
  spec.seed = options.seed;
  return make_trace(options.preset, spec);
}

void print_trace(const std::string& path) {
  const Trace trace = read_trace(path);
  double skew = 0;
  for (int step = 0; step < trace.steps; ++step) {
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      skew += imbalance(std::vector<std::int64_t>(loads.begin(), loads.end()));
    }
  }
  double aggregate = 0;
  for (int layer = 0; layer < trace.layers; ++layer) {
    std::vector<std::int64_t> sums(static_cast<std::size_t>(trace.experts), 0);
    for (int step = 0; step < trace.steps; ++step) {
      const auto loads = trace.loads(step, layer);
      for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += loads[e];
    }
    aggregate += imbalance(sums);
  }
  fmt::print("# {}\n# source {}\nsteps {}  layers {}  experts {}  top-k {}  tokens a step {}  {}\n",
             path, trace.source, trace.steps, trace.layers, trace.experts, trace.topk,
             trace.max_tokens_in_step(), trace.has_ids() ? "per-token ids" : "counts");
  fmt::print("hottest expert / mean: {:.2f} summed over steps, {:.2f} within a step\n",
             aggregate / trace.layers, skew / trace.layers / trace.steps);
}

}  // namespace

void trace_command(const Options& options) {
  const std::string action = options.files.empty() ? "" : options.files[0];
  if (action == "make" && options.files.size() == 1) {
    const std::string output = required_output(options);
    write_trace(output, synthetic_trace(options), options.overwrite);
    print_trace(output);
  } else if (action == "import") {
    const std::string output = required_output(options);
    write_trace(output, import_trace(options), options.overwrite);
    print_trace(output);
  } else if (action == "info" && options.files.size() == 2) {
    print_trace(options.files[1]);
  } else {
    throw usage_error(
        "trace needs make, import csv|ids FILE, or info FILE: see gembench trace --help");
  }
}

void plan_command(const Options& options) {
  if (!options.files.empty()) {
    throw usage_error(fmt::format("plan takes no file '{}': give --trace", options.files[0]));
  }
  const std::string output = required_output(options);
  const Problem problem = load_problem(options);
  const CostModel cost(problem.profile);
  PlacementFile file;
  file.placement = find_strategy(options.strategy).plan({problem.plan, cost, options.seed});
  file.model = problem.profile.model;
  file.seed = options.seed;
  const Score planned = score(problem.plan, file.placement, cost);
  file.predicted_step = planned.step_mean;
  file.bound_step = planned.bound;
  file.trace_source = options.trace;
  file.profile_source = problem.profile_source;
  file.program = program_version();
  write_placement(output, file, options.overwrite);
  fmt::print(
      "{}# result: {}\n",
      score_table(problem, {{options.strategy, score(problem.judged, file.placement, cost)}}),
      output);
}

void score_command(const Options& options) {
  const Problem problem = load_problem(options);
  const CostModel cost(problem.profile);
  std::vector<std::string> strategies = options.strategies;
  if (strategies.empty() && options.files.empty()) strategies = options.placements;
  std::vector<Judged> rows;
  for (const std::string& name : strategies) {
    const Placement placement = find_strategy(name).plan({problem.plan, cost, options.seed});
    rows.push_back({name, score(problem.judged, placement, cost)});
  }
  for (const std::string& path : options.files) {
    const PlacementFile file = read_placement(path);
    if (file.placement.layers != problem.judged.layers ||
        file.placement.experts != problem.judged.experts || file.placement.ranks != cost.ranks()) {
      throw usage_error(
          fmt::format("{} places {} experts of {} layers on {} ranks, which is not what {} and the "
                      "profile hold",
                      path, file.placement.experts, file.placement.layers, file.placement.ranks,
                      options.trace));
    }
    rows.push_back(
        {std::filesystem::path(path).filename(), score(problem.judged, file.placement, cost)});
  }
  fmt::print("{}", options.format == "json"  ? score_json(problem, rows)
                   : options.format == "csv" ? score_csv(rows)
                                             : score_table(problem, rows));
}

void compare_command(const Options& options) {
  if (options.files.empty()) throw usage_error("compare needs at least one results file");
  for (const std::string& path : options.files) fmt::print("{}", report(path, options.format));
}

void list_command() {
  fmt::print("models (--model)\n  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}\n", "name", "layers",
             "experts", "top-k", "shared", "hidden", "ffn");
  for (const ModelShape& m : model_presets()) {
    fmt::print("  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}{}\n", m.name, m.layers, m.experts,
               m.topk, m.shared, m.hidden, m.ffn, m.note.empty() ? "" : "  " + m.note);
  }
  fmt::print("\nplacements (--placements, --strategy)\n");
  for (const Strategy& s : strategies()) fmt::print("  {:<12} {}\n", s.name, s.summary);
  fmt::print(
      "\nsynthetic loads (--preset)\n  serving      skewed, with experts that burst together\n"
      "  even         every expert alike\n");
}

}  // namespace gembench
