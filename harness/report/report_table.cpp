#include "harness/report/report_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "harness/report/columns.hpp"
#include "harness/report/conclusion.hpp"
#include "harness/report/energy.hpp"
#include "harness/report/gpu_findings.hpp"
#include "harness/report/gpu_line.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/quiet_report.hpp"
#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"

namespace gembench::inline report {
namespace {

constexpr double kDriftShown = 0.02;

std::string fact(const RunInfo& info, const std::string& name) {
  const auto found = info.facts.find(name);
  return found == info.facts.end() ? "?" : found->second;
}

bool emulated(const RunInfo& info) {
  for (const double s : info.slowdown) {
    if (s != 1) return true;
  }
  return false;
}

/// s; NaN where it is not known yet.
double worst_clock_error(const RunReader& file) {
  double worst = NAN;
  for (const auto* clocks : {&file.end().clocks_before, &file.end().clocks_after}) {
    for (const ClockReading& clock : *clocks) worst = std::fmax(worst, clock.error);
  }
  return worst;
}

/// How far apart two GPUs' stamps may be of what happens at once, in words.
std::string alignment(const RunReader& file) {
  const double worst = worst_clock_error(file);
  if (std::isnan(worst)) return "how well their clocks are aligned is not known yet";
  return fmt::format(
      "their clocks are aligned within {:.1f} us of rank 0's host: a wait shorter than twice that "
      "may be none",
      worst * 1e6);
}

std::string clock_line(const RunReader& file) {
  const RunInfo& info = file.info();
  if (info.clock == "cpu-time") {
    return "# clock cpu-time: thread CPU time of route and experts; no number includes "
           "communication or real waiting";
  }
  if (info.clock == "gpu-stamps") {
    return "# clock gpu-stamps: EVERY STEP IS ONE GRAPH, without barriers, timed by stamps of the "
           "GPUs; " +
           alignment(file);
  }
  if (fact(info, "whole_steps") != "?") {
    return "# clock wall: WHOLE STEPS only, without barriers, waits and clock readings between "
           "phases";
  }
  return "# clock wall: wall time of every phase and wait on each rank";
}

/// What the run planned with, and why; falls of the profile's curve.
std::string cost_lines(const RunInfo& info) {
  std::string text = fmt::format("# cost model '{}'", planned_cost(info));
  if (const std::string why = fact(info, "cost_reason"); why != "?") {
    text += fmt::format(" ({})", why);
  }
  text += '\n';
  if (const std::string dents = fact(info, "profile_dents"); dents != "?") {
    text += fmt::format("# profile: {}\n", dents);
  }
  return text;
}

/// How long devices were warmed up, where they were.
std::string soak_line(const RunEnd& end) {
  if (end.soak.steps < 0) return {};
  return fmt::format(
      "# soaked for {:.1f} s ({} untimed steps) before the first measured step: {}\n",
      end.soak.seconds, end.soak.steps, end.soak.steady == 1 ? "steady" : "NOT steady");
}

std::string header(const RunReader& file) {
  const RunInfo& info = file.info();
  std::string text = fmt::format("# {}  schema {}  {}\n", fact(info, "program"), kRunSchemaVersion,
                                 fact(info, "started"));
  text += fmt::format("# {} ranks on {}  {}  {}\n", info.shape.ranks, fact(info, "nodes"),
                      fact(info, "mpi"), fact(info, "device"));
  text += clock_line(file) + fmt::format(" ({})\n", fact(info, "clock_reason"));
  const QuietReadings quiet = quiet_readings(file);
  if (const std::string line = quiet_line(quiet); !line.empty()) {
    text += fmt::format("# machine: {}\n", line);
  }
  for (const std::string& warning : quiet_warnings(quiet)) {
    text += fmt::format("# WARNING: {}\n", warning);
  }
  if (const std::string line = gpu_line(file.end().gpu_during); !line.empty()) {
    text += fmt::format("# {}\n", line);
  }
  for (const std::string& finding : gpu_findings(file)) {
    text += fmt::format("# WARNING: {}\n", finding);
  }
  text += soak_line(file.end());
  text += fmt::format("# {}\n", fact(info, "model"));
  text += fmt::format("# routing {}; {}\n", fact(info, "routing"), fact(info, "plan"));
  if (const std::string files = fact(info, "placement_files"); files != "?") {
    text += fmt::format("# files: {}\n", files);
  }
  if (const std::string notes = fact(info, "notes"); notes != "?") {
    text += fmt::format("# {}\n", notes);
  }
  text +=
      fmt::format("# seed {}  non-MoE time {:g} s a layer\n", info.seed, stated_non_moe_time(info));
  if (emulated(info)) {
    text += "# variability is EMULATED: the slowdown below stretches each rank's compute\n";
  }
  if (const std::string drift = fact(info, "drift"); drift != "?") {
    text += fmt::format("# DRIFT on purpose: {}; the slowdown below is that of the first step\n",
                        drift);
  }
  text += "# rank  node              cpus         slowdown  profile us at mean load\n";
  const auto strings = [&](const char* name, std::size_t rank) {
    const auto found = info.rank_facts.find(name);
    return found == info.rank_facts.end() ? std::string("?") : found->second[rank];
  };
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(info.shape.ranks); ++rank) {
    text += fmt::format("# {:>4}  {:<16}  {:<11}  {:>8.3f}  {:>10}\n", rank, strings("host", rank),
                        strings("cpus", rank), info.slowdown[rank], strings("profile_us", rank));
  }
  return text + cost_lines(info);
}

/// Which cost model came closer to the measured times, over all placements.
std::string cost_model_line(const Comparison& comparison) {
  double tokens = 0, experts = 0;
  for (const PlacementSummary& row : comparison.placements) {
    tokens += std::abs(row["predicted"] / row["measured"] - 1);
    experts += std::abs(row["predicted_by_experts"] / row["measured"] - 1);
  }
  const double rows = static_cast<double>(comparison.placements.size());
  if (!std::isfinite(tokens) || !std::isfinite(experts)) return {};
  return fmt::format(
      "# the cost model '{}' predicted better here: off by {:.1f} % on average, '{}' by {:.1f} %\n",
      tokens <= experts ? "sum" : "per-expert", std::min(tokens, experts) / rows * 100,
      tokens <= experts ? "per-expert" : "sum", std::max(tokens, experts) / rows * 100);
}

/// The columns of one of the two tables; `planned`: of the cost model that was planned with.
std::vector<TextColumn> columns_of(const Comparison& comparison, Column::Table table,
                                   const std::string& planned) {
  std::vector<TextColumn> columns;
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    const Column& as = kSummaries[i].column;
    if (as.table != table) continue;
    const bool predicted = kSummaries[i].key == "predicted";
    TextColumn column{std::string(as.over), std::string(as.heading), {}};
    for (const PlacementSummary& row : comparison.placements) {
      column.cells.push_back(shown(predicted ? row.predicted_by(planned) : row.values[i], as));
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

TextColumn error_column(const Comparison& comparison, const std::string& over,
                        const std::string& model) {
  TextColumn column{over, "err %", {}};
  for (const PlacementSummary& row : comparison.placements) {
    column.cells.push_back(shown(row.predicted_by(model) / row["measured"] - 1, 1, 100));
  }
  return column;
}

std::vector<std::string> labels_of(const Comparison& comparison) {
  std::vector<std::string> labels;
  for (const PlacementSummary& row : comparison.placements) labels.push_back(row.label);
  return labels;
}

/// Marks the fastest placement. A column of its own, so that the columns of a row keep their
/// numbers.
TextColumn fastest_column(const Comparison& comparison, std::optional<int> fastest) {
  TextColumn column{"", "fastest", {}};
  for (int i = 0; i < static_cast<int>(comparison.placements.size()); ++i) {
    column.cells.emplace_back(fastest == i ? "*" : "-");
  }
  return column;
}

/// The first table: steps, and the cost models' predictions. The row `bold` is emphasised.
std::string steps_table(const RunReader& file, const Comparison& comparison,
                        std::optional<int> fastest, std::optional<int> bold) {
  const std::string planned = planned_cost(file.info());
  const std::string other = planned == "per-expert" ? "sum" : "per-expert";
  auto columns = columns_of(comparison, Column::Table::steps, planned);
  const std::string barriers = columns.back().over;
  columns.push_back(error_column(comparison, barriers, planned));
  for (TextColumn& column : columns) {
    if (column.over == barriers) column.over += fmt::format(", '{}'", planned);
  }
  columns.push_back(error_column(comparison, fmt::format("'{}'", other), other));
  columns.push_back(fastest_column(comparison, fastest));
  return "#\n" + text_table("placement", labels_of(comparison), columns, bold);
}

/// The second table: rates.
std::string rates_table(const RunReader& file, const Comparison& comparison,
                        std::optional<int> bold) {
  std::string text = "#\n" + text_table("placement", labels_of(comparison),
                                        columns_of(comparison, Column::Table::rates, ""), bold);
  if (emulated(file.info())) text += "# the rates contain the emulated slowdown\n";
  return text;
}

/// Ranks whose speed changed while the run lasted, by more than 2 %: those that changed most.
std::string drift_lines(const Comparison& comparison) {
  constexpr std::size_t kLines = 4;
  std::vector<std::size_t> ranks;
  for (std::size_t rank = 0; rank < comparison.drift.size(); ++rank) {
    if (std::abs(comparison.drift[rank]) > kDriftShown) ranks.push_back(rank);
  }
  std::stable_sort(ranks.begin(), ranks.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(comparison.drift[a]) > std::abs(comparison.drift[b]);
  });
  std::string text;
  for (std::size_t i = 0; i < std::min(kLines, ranks.size()); ++i) {
    text += fmt::format("# drift: after the run rank {}'s experts took {} against the profile\n",
                        ranks[i], percent_change(comparison.drift[ranks[i]]));
  }
  if (ranks.size() > kLines) {
    text += fmt::format("# drift: and {} more ranks by more than {:g} %: see profile_after\n",
                        ranks.size() - kLines, kDriftShown * 100);
  }
  return text;
}

/// Of waits between stamps: the latest of ends that are all a little off is rather too late.
std::string stamped_waits_line(const RunReader& file, const Comparison& comparison) {
  const double worst = worst_clock_error(file);
  if (file.info().clock != "gpu-stamps" || std::isnan(worst) || file.info().shape.ranks == 1) {
    return {};
  }
  double shortest = HUGE_VAL;
  for (const PlacementSummary& row : comparison.placements) {
    shortest = std::min(shortest, row["step_mean"]);
  }
  if (!std::isfinite(shortest)) return {};
  return fmt::format(
      "# waits are up to the latest end as the clocks show it, so they are rather too long: up to "
      "{:.1f} % of a step may be none\n",
      100 * std::min(1.0, 2 * worst * file.info().shape.layers / shortest));
}

/// How far the clocks of several nodes can be compared.
std::string clocks_line(const RunReader& file) {
  const auto &before = file.end().clocks_before, &after = file.end().clocks_after;
  double error = 0, drift = 0;
  for (std::size_t rank = 0; rank < before.size(); ++rank) {
    error = std::max({error, before[rank].error, after[rank].error});
    drift = std::max(drift, std::abs(after[rank].offset - before[rank].offset));
  }
  if (error == 0 || file.info().clock == "gpu-stamps") return {};  // whose header says more
  return fmt::format(
      "# the offsets of the nodes' clocks are known within {:.0f} us; the clocks drifted {:.0f} us "
      "apart during the run\n",
      error * kUs, drift * kUs);
}

std::string energy_lines(const RunReader& file, const Comparison& comparison) {
  const std::string line = energy_line(file, comparison.energy);
  return line.empty() ? line : fmt::format("# {}\n", line);
}

std::string timing_line(const RunReader& file) {
  const auto& seconds = file.end().seconds;
  const auto part = [&](const char* name) {
    const auto found = seconds.find(name);
    return found == seconds.end() ? NAN : found->second;
  };
  if (seconds.empty()) return {};
  return fmt::format(
      "# {} s in all: profile {}, plan {}, measure {}, of it gather {} and write {} ({} %)\n",
      shown(part("total"), 1), shown(part("profile"), 1), shown(part("plan"), 1),
      shown(part("measure"), 1), shown(part("gather"), 2), shown(part("write"), 2),
      shown(part("write") / part("total"), 2, 100));
}

const char* name_of(ReplanRecord::Reason reason) {
  return reason == ReplanRecord::Reason::speeds  ? "speeds of ranks"
         : reason == ReplanRecord::Reason::loads ? "loads"
                                                 : "speeds and loads";
}

/// The changes by adaptation, and their cost.
std::string change_lines(const PlacementSummary& row) {
  constexpr std::size_t kLines = 4;
  std::string text;
  double seconds = 0;
  for (std::size_t i = 0; i < row.changes.size(); ++i) {
    const auto& [step, what] = row.changes[i];
    seconds += what.move_seconds;
    if (i >= kLines) continue;
    text += fmt::format(
        "# {} changed after step {} ({}): {} experts, {:.1f} MiB moved in {:.3f} s, planned in "
        "{:.3f} s, both wall clock and not in its step times; predicted gain {:.0f} us a step\n",
        row.label, step, name_of(what.reason), what.experts_moved,
        static_cast<double>(what.bytes_moved) / 0x1p20, what.move_seconds, what.planning_seconds,
        what.predicted_gain * kUs);
  }
  if (row.changes.empty()) return text;
  return text + fmt::format("# {}: {} change{}, all moves {:.3f} s: {} % of its measured steps\n",
                            row.label, row.changes.size(), row.changes.size() == 1 ? "" : "s",
                            seconds, shown(seconds / (row["step_mean"] * row["steps"]), 2, 100));
}

/// How spare slots are used.
std::string replicas_line(const RunInfo& info, const Comparison& comparison) {
  std::string text;
  for (const PlacementSummary& row : comparison.placements) {
    if (row["replicas"] > 0) text += fmt::format(" {} {:.1f}", row.label, row["replicas"]);
  }
  if (text.empty()) return text;
  return fmt::format(
      "# replicas of a layer:{}; {} slots on {} ranks for {} experts; tokens split {}\n", text,
      info.shape.slots * info.shape.ranks, info.shape.ranks, info.shape.experts,
      fact(info, "token_split"));
}

std::string difference_line(const RunReader& file, const Comparison& comparison,
                            const PairDifference& pair) {
  const Difference& d = pair.step_time;
  const std::string interval =
      d.low ? fmt::format("95 % CI {} .. {}, {} blocks", percent_change(*d.low),
                          percent_change(*d.high), d.blocks)
            : no_interval(file, d.blocks);
  return fmt::format("# {} vs {}: step time {} ({}); by the means {}\n",
                     comparison.label(pair.placement), comparison.label(pair.reference),
                     percent_change(d.typical), interval, percent_change(d.mean));
}

/// The differences. On one rank there is nothing to compare, as the verdict says.
std::string difference_lines(const RunReader& file, const Comparison& comparison) {
  std::string text;
  if (file.info().shape.ranks == 1) return text;
  for (const PairDifference& pair : comparison.pairs) {
    text += difference_line(file, comparison, pair);
  }
  return text;
}

/// Whether outputs are right: in words, and then in one word for scripts.
std::string check_lines(const RunReader& file) {
  const CheckRecord& check = file.end().check;
  if (!file.completed()) return "# check: INCOMPLETE\n";
  if (check.mode == "none") return "# outputs were not checked\n# check: none\n";
  return fmt::format(
             "# outputs {}: {} compared with a plain reference, worst error {:.2g} (allowed "
             "{:.2g})\n",
             check.passed ? "correct" : "WRONG", check.checked_tokens, check.worst_error,
             check.tolerance) +
         (check.passed ? "# check: PASS\n" : fmt::format("# check: FAIL {}\n", check.message));
}

std::string verdict_line(const Verdict& verdict, bool bold) {
  return verdict.fastest ? emphasised(fmt::format("# {}", verdict.sentence), bold) + '\n'
                         : fmt::format("# {}\n", verdict.sentence);
}

}  // namespace

std::string as_table(const RunReader& file, const Comparison& comparison, const std::string& path,
                     bool bold) {
  const Verdict verdict = verdict_of(file, comparison);
  const auto emphasis = bold ? verdict.fastest : std::nullopt;
  std::string text = header(file);
  if (const std::string resumed = fact(file.info(), "resumed"); resumed != "?") {
    text += fmt::format("# resumed {}: its blocks come from two jobs\n", resumed);
  }
  if (!file.completed())
    text += "# INCOMPLETE: the run ended early; this is what it had measured\n";
  text += steps_table(file, comparison, verdict.fastest, emphasis) +
          rates_table(file, comparison, emphasis) + "#\n";
  text += difference_lines(file, comparison) + conclusion_lines(file, comparison);
  text += replicas_line(file.info(), comparison);
  for (const PlacementSummary& row : comparison.placements) text += change_lines(row);
  for (const PlacementSummary& row : comparison.placements) {
    if (row["moved_bytes"] > 0) {
      text += fmt::format("# switch to {}: {:.1f} MiB of experts moved between ranks in {:.3f} s\n",
                          row.label, row["moved_bytes"] / 0x1p20, row["moved_seconds"]);
    }
  }
  text += energy_lines(file, comparison) + cost_model_line(comparison) + drift_lines(comparison) +
          clocks_line(file) + stamped_waits_line(file, comparison) + timing_line(file);
  text += fmt::format("# result: {}\n", path);
  return text + check_lines(file) + verdict_line(verdict, bold);
}

std::string sweep_table(const std::vector<std::string>& paths,
                        const std::vector<std::string>& verdicts) {
  std::string text =
      "#\n# SWEEP over tokens\n"
      "#    tokens  placement     step mean us    tokens/s  against the first (95 % CI)\n";
  std::string found;
  bool all_known = true;
  for (std::size_t run = 0; run < paths.size(); ++run) {
    const RunReader file(paths[run]);
    const RunInfo& info = file.info();
    const RunSummary summary =
        file.summary() ? *file.summary() : summary_of(reduce(file, stated_non_moe_time(info)));
    const auto value = [&](SummaryKey key, std::size_t i) { return summary.values[key.place][i]; };
    const auto tokens =
        std::accumulate(info.expert_tokens.begin(), info.expert_tokens.begin() + info.shape.experts,
                        std::int64_t{0}) /
        std::max(1, info.model.topk);
    found += fmt::format("# {} tokens: {}\n", tokens, verdicts[run]);
    for (std::size_t i = 0; i < info.labels.size(); ++i) {
      const StoredDifference& d = summary.differences[i];  // against the first
      const bool known = std::isfinite(d.low);
      all_known = all_known && (i == 0 || known);
      text += fmt::format("  {:>9}  {:<12} {:>13} {:>11}  {}\n", tokens, info.labels[i],
                          shown(value("step_mean", i), 0, kUs), shown(value("tokens_per_s", i), 1),
                          i == 0  ? "-"
                          : known ? fmt::format("{} ({} .. {})", percent_change(d.typical),
                                                percent_change(d.low), percent_change(d.high))
                                  : percent_change(d.typical) + " (no interval)");
    }
  }
  if (!all_known) text += "# no interval: why, and what gives one, is said under each run above\n";
  return text + found;
}

}  // namespace gembench::inline report
