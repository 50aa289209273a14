#include "harness/commands/dry_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/report/csv.hpp"
#include "harness/report/numbers.hpp"
#include "harness/run/labels.hpp"
#include "harness/run/run_facts.hpp"
#include "harness/run/sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline commands {
namespace {

using nlohmann::ordered_json;

/// What a run would take. Bytes, seconds of wall clock.
struct Outlook {
  std::map<std::string, std::string> facts;
  std::vector<std::string> labels;
  std::vector<Score> scores;
  std::vector<double> planning_seconds;  ///< empty: placements were not planned now
  std::vector<double> slowdown;          ///< [rank], emulated
  std::string clock;
  int ranks = 0;
  bool simulated = false;
  std::size_t steps = 0;            ///< with warm-up and checks
  std::size_t measured_steps = 0;   ///< without
  std::optional<double> step;       ///< of one step; none on simulated ranks
  double load_seconds = 0;          ///< making or reading the loads took
  double seconds_to_barriers = 0;   ///< of all measured steps, predicted
  std::string alternation;          ///< how placements alternate
  std::size_t buffers = 0;          ///< weights and buffers of the rank that needs most
  std::optional<std::size_t> all;   ///< the same with the experts of all placements in memory,
                                    ///< where it is not known whether they fit
  std::size_t loads = 0, maps = 0;  ///< of the loads and of all placements, on every rank
  std::size_t root = 0;             ///< that rank 0 needs besides
  double file = 0;
  std::string end;  ///< when the run may end before

  [[nodiscard]] std::size_t rank_bytes() const { return buffers + loads + maps; }
};

/// Wall-clock seconds of one step under linear, the slowest rank: the second of two.
double time_one_step(Session& session) {
  std::vector<LayerReading> readings(sz(session.model.layers));
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {
    const TokenRange tokens = session.tokens_of(0);
    session.layers->load_step(
        session.workload.first_measured, tokens,
        routed_ids(session.workload.measured, 0, session.options.seed, tokens));
    session.comm.barrier();
    const double begin = wall_seconds();
    static_cast<void>(session.layers->run_step(readings));
    seconds = session.comm.max(wall_seconds() - begin);
  }
  session.progress.enter(Phase::prepare);
  return seconds;
}

/// Memory, and how placements alternate: on simulated ranks nobody knows whether the experts of all
/// placements fit, so both are said.
void add_memory(Outlook& outlook, const Session& session) {
  const auto most = [&](std::size_t bytes) {
    return static_cast<std::size_t>(session.comm.max(static_cast<double>(bytes)));
  };
  outlook.buffers = most(session.memory_needed);
  int block = session.alternation.block;
  if (session.comm.is_simulated()) {
    const Alternation otherwise = alternation_of(session.options, false);
    if (session.alternation.resident && !otherwise.resident) {
      outlook.buffers = session.memory_moving;
      outlook.all = session.memory_resident;
      block = otherwise.block;
    }
  }
  outlook.alternation = describe(session.alternation);
  outlook.loads = load_bytes(session.workload);
  outlook.root = root_bytes(shape_of(session, 0), std::min(2 * block, session.options.steps));
}

ordered_json as_json(const Outlook& o) {
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < o.scores.size(); ++i) {
    rows.push_back(
        {{"placement", o.labels[i]},
         {"predicted", o.scores[i].step_mean},
         {"bound", o.scores[i].bound},
         {"token_balance", o.scores[i].balance.tokens},
         {"time_balance", o.scores[i].balance.time},
         {"aggregate_imbalance", o.scores[i].aggregate_imbalance},
         {"step_imbalance", o.scores[i].step_imbalance},
         {"duplicates", o.scores[i].duplicates},
         {"planning_seconds",
          o.planning_seconds.empty() ? ordered_json() : ordered_json(o.planning_seconds[i])}});
  }
  const auto known = [](const auto& value) {
    return value ? ordered_json(*value) : ordered_json();
  };
  std::optional<double> seconds;
  if (o.step) seconds = static_cast<double>(o.steps) * *o.step;
  std::optional<std::size_t> resident;
  if (o.all) resident = *o.all + o.loads + o.maps;
  return {{"dry_run", true},
          {"ranks", o.ranks},
          {"simulated_ranks", o.simulated},
          {"facts", o.facts},
          {"clock", o.clock},
          {"emulated_slowdown", o.slowdown},
          {"unit", "s"},
          {"placements", rows},
          {"load_seconds", o.load_seconds},
          {"steps", o.steps},
          {"wall_seconds_per_step", known(o.step)},
          {"wall_seconds", known(seconds)},
          {"seconds_to_barriers", o.seconds_to_barriers},
          {"alternation", o.alternation},
          {"memory_bytes_per_rank", o.rank_bytes()},
          {"memory_bytes_per_rank_all_resident", known(resident)},
          {"memory_bytes_root", o.rank_bytes() + o.root},
          {"broadcast_bytes", o.loads + o.maps},
          {"file_bytes_at_most", o.file}};
}

/// The rows of the JSON's `placements`, in s.
CsvTable csv_table(const Outlook& o) {
  CsvTable table{{"placement", "predicted", "bound", "token_balance", "time_balance",
                  "aggregate_imbalance", "step_imbalance", "duplicates", "planning_seconds"},
                 {}};
  for (std::size_t i = 0; i < o.scores.size(); ++i) {
    const Score& s = o.scores[i];
    table.lines.push_back({csv_text(o.labels[i]), csv_number(s.step_mean), csv_number(s.bound),
                           csv_number(s.balance.tokens), csv_number(s.balance.time),
                           csv_number(s.aggregate_imbalance), csv_number(s.step_imbalance),
                           fmt::format("{}", s.duplicates),
                           o.planning_seconds.empty() ? "" : csv_number(o.planning_seconds[i])});
  }
  return table;
}

/// "12.3 KiB", "1.5 GiB"
std::string size_in_words(double bytes) {
  return bytes < 0x1p20   ? fmt::format("{:.1f} KiB", bytes / 0x1p10)
         : bytes < 0x1p30 ? fmt::format("{:.1f} MiB", bytes / 0x1p20)
                          : fmt::format("{:.2f} GiB", bytes / 0x1p30);
}
std::string size_in_words(std::size_t bytes) {
  return size_in_words(static_cast<double>(bytes));
}

std::string time_line(const Outlook& o) {
  if (!o.step) {
    return fmt::format(
        "# time: at least {:.0f} s to the barriers of {} measured steps, as predicted{}; "
        "communication, warm-up and switches come on top\n",
        o.seconds_to_barriers, o.measured_steps, o.end);
  }
  return fmt::format(
      "# time: {} steps, warm-up and checks included, of {:.3f} s wall clock (one step under "
      "linear): about {:.0f} s{}{}\n",
      o.steps, *o.step, static_cast<double>(o.steps) * *o.step,
      o.facts.at("alternation") == "resident" ? "" : ", and the switches", o.end);
}

std::string as_table(const Outlook& o) {
  const auto fact = [&o](const char* name) -> const std::string& { return o.facts.at(name); };
  std::string text = o.simulated
                         ? fmt::format(
                               "# DRY RUN for {} ranks without them: nothing was measured, nothing "
                               "is written\n",
                               o.ranks)
                         : "# DRY RUN: no placement was measured, nothing is written\n";
  text += fmt::format("# {}\n# {} ranks  clock {} ({})  {}\n# routing {}, made in {:.1f} s; {}\n",
                      fact("model"), o.ranks, o.clock, fact("clock_reason"), fact("device"),
                      fact("routing"), o.load_seconds, fact("plan"));
  const double slowest = *std::ranges::max_element(o.slowdown);
  text += fmt::format("# profile {}{}\n# cost model '{}' ({})\n", fact("profile_source"),
                      slowest > 1 ? fmt::format("; slowdown up to {:.3f}, emulated", slowest) : "",
                      fact("cost"), fact("cost_reason"));
  for (const char* name : {"placement_files", "notes"}) {
    if (o.facts.contains(name)) text += fmt::format("# {}\n", fact(name));
  }
  text +=
      "#                     time to barriers (us)        imbalance\n"
      "# placement        predicted     bound   gap %    total    step  replicas   planned in s\n";
  for (std::size_t i = 0; i < o.scores.size(); ++i) {
    const Score& s = o.scores[i];
    text += fmt::format(
        "  {:<12} {:>13.0f} {:>9.0f} {:>7} {:>8.3f} {:>7.3f} {:>9} {:>14}\n", o.labels[i],
        s.step_mean * 1e6, s.bound * 1e6, shown(s.gap, 2, 100), s.aggregate_imbalance,
        s.step_imbalance, s.duplicates,
        o.planning_seconds.empty() ? "-" : fmt::format("{:.3f}", o.planning_seconds[i]));
  }
  if (!o.scores.empty()) {
    const PerfectBalance& balance = o.scores[0].balance;
    text += fmt::format(
        "# perfect balance, if tokens needed no experts: {:.0f} us with as many tokens on every "
        "rank, {:.0f} us with ranks that finish together\n",
        balance.tokens * 1e6, balance.time * 1e6);
  }
  text += time_line(o);
  text += fmt::format(
      "# memory: {} a rank (weights and buffers {}, loads {}, placements {}); rank 0 {}\n",
      size_in_words(o.rank_bytes()), size_in_words(o.buffers), size_in_words(o.loads),
      size_in_words(o.maps), size_in_words(o.rank_bytes() + o.root));
  if (o.all) {
    text += fmt::format("# {}, where a rank has {}; else in blocks\n", o.alternation,
                        size_in_words(*o.all + o.loads + o.maps));
  }
  return text + fmt::format(
                    "# broadcast: {} from rank 0 to every rank before the first step\n"
                    "# file: at most {}, before compression\n",
                    size_in_words(o.loads + o.maps), size_in_words(o.file));
}

}  // namespace

std::string dry_run(Session& session, const RunCommand& options, const Profile& profile,
                    const PlannedPlacements& planned, const std::vector<Segment>& schedule,
                    const CsvPart& part) {
  Outlook outlook;
  outlook.simulated = session.comm.is_simulated();
  if (!outlook.simulated) outlook.step = time_one_step(session);
  add_memory(outlook, session);
  if (session.comm.rank() != 0) return {};

  outlook.facts = facts_of(session, options);
  outlook.labels = labels_of(planned.placements);
  outlook.planning_seconds = planned.seconds;
  outlook.slowdown = session.slowdown;
  outlook.clock = name_of(session.clock);
  outlook.ranks = session.comm.size();
  outlook.load_seconds = session.load_seconds;
  const CostModel cost(profile, session.cost, session.linear.slots);
  const TokenRule rule = token_rule(options.token_split, cost);
  for (const Placement& placement : planned.placements) {
    outlook.scores.push_back(
        score(session.workload.measured, placement, cost, nullptr, rule.spec()));
    outlook.maps += placement.slot_expert.size() * sizeof(placement.slot_expert[0]);
    outlook.seconds_to_barriers += outlook.scores.back().step_mean * options.steps;
  }
  outlook.measured_steps = sz(options.steps) * planned.placements.size();
  const std::size_t checks = options.check == "all"    ? outlook.measured_steps
                             : options.check == "last" ? planned.placements.size()
                                                       : 0;
  outlook.steps =
      outlook.measured_steps + sz(session.alternation.warmup) * schedule.size() + checks;
  outlook.file = file_bytes(shape_of(session, schedule.size()), device_kind(options.device).gpu);
  outlook.end = end_in_words(options);
  if (options.format == "csv") return to_text(csv_table(outlook), part);
  return options.format == "json" ? as_json(outlook).dump(2) + "\n" : as_table(outlook);
}

}  // namespace gembench::inline commands
