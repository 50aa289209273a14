#include "harness/report/report_data.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "harness/report/energy.hpp"
#include "harness/report/gpu_findings.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/quiet_report.hpp"
#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

ordered_json changes_of(const PlacementSummary& row) {
  constexpr const char* kReasons[] = {"speeds", "loads", "both"};
  ordered_json changes = ordered_json::array();
  for (const auto& [step, what] : row.changes) {
    changes.push_back({{"after_step", step},
                       {"reason", kReasons[static_cast<std::size_t>(what.reason)]},
                       {"experts_moved", what.experts_moved},
                       {"bytes_moved", what.bytes_moved},
                       {"move_seconds", json_number(what.move_seconds)},
                       {"planning_seconds", json_number(what.planning_seconds)},
                       {"predicted_gain", json_number(what.predicted_gain)}});
  }
  return changes;
}

/// A count is whole in JSON where it is one.
ordered_json json_as(double value, NumberKind kind) {
  const bool whole =
      kind == NumberKind::whole && std::abs(value) < 0x1p63 && value == std::trunc(value);
  return whole ? ordered_json(static_cast<std::int64_t>(value)) : json_number(value);
}

ordered_json intervals_of(const PlacementSummary& row) {
  ordered_json all;
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    if (kSummaries[i].kind != NumberKind::known) continue;
    const auto& one = row.intervals[i];
    all[std::string(kSummaries[i].key)] =
        one ? ordered_json{{"low", json_number(one->low)}, {"high", json_number(one->high)}}
            : ordered_json();
  }
  return all;
}

ordered_json row_of(const PlacementSummary& row) {
  ordered_json one{{"placement", row.label}}, rates;
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    const Summarised& as = kSummaries[i];
    ordered_json& here = as.column.table == Column::Table::rates ? rates : one;
    here[std::string(as.key)] = json_as(row.values[i], as.kind);
  }
  one["last_share"] = row.last_share;
  one["changes"] = changes_of(row);
  one["rates"] = rates;
  one["intervals"] = intervals_of(row);
  return one;
}

const Difference kNone;

/// `pair` may be null, for placements that are not compared.
ordered_json difference_of(const Comparison& comparison, const PairDifference* pair) {
  const Difference& d = pair == nullptr ? kNone : pair->step_time;
  return {{"against",
           pair == nullptr ? ordered_json() : ordered_json(comparison.label(pair->reference))},
          {"mean", json_number(d.mean)},
          {"typical", json_number(d.typical)},
          {"low", json_number(d.low)},
          {"high", json_number(d.high)},
          {"blocks", d.blocks}};
}

ordered_json pairs_of(const Comparison& comparison) {
  ordered_json pairs = ordered_json::array();
  for (const PairDifference& pair : comparison.pairs) {
    ordered_json one{{"placement", comparison.label(pair.placement)}};
    one.update(difference_of(comparison, &pair));
    pairs.push_back(one);
  }
  return pairs;
}

/// Appends `cell(i)` of the numbers in the second table or of all others.
template <class Cell>
void add_cells(std::vector<std::string>& line, bool rates, const Cell& cell) {
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    if ((kSummaries[i].column.table == Column::Table::rates) == rates) line.push_back(cell(i));
  }
}

std::vector<std::string> csv_columns() {
  const auto key = [](std::size_t i) { return std::string(kSummaries[i].key); };
  std::vector<std::string> columns{"placement"};
  add_cells(columns, false, key);
  for (const char* name :
       {"difference", "difference_low", "difference_high", "difference_mean", "blocks"}) {
    columns.emplace_back(name);
  }
  add_cells(columns, true, key);
  columns.emplace_back("against");
  for (const Summarised& row : kSummaries) {
    if (row.kind != NumberKind::known) continue;
    columns.push_back(fmt::format("{}_low", row.key));
    columns.push_back(fmt::format("{}_high", row.key));
  }
  return columns;
}

/// One CSV line: a placement, and one of its pairs if it has any.
std::vector<std::string> csv_line(const Comparison& comparison, const PlacementSummary& row,
                                  const PairDifference* pair) {
  const Difference& d = pair == nullptr ? kNone : pair->step_time;
  const auto cell = [&](std::size_t i) {
    const double value = row.values[i];
    const bool whole = kSummaries[i].kind == NumberKind::whole && std::isfinite(value);
    return whole ? fmt::format("{:.0f}", value) : csv_number(value);
  };
  std::vector<std::string> line{csv_text(row.label)};
  add_cells(line, false, cell);
  for (const auto& value : {std::optional(d.typical), d.low, d.high, std::optional(d.mean)}) {
    line.push_back(csv_number(value));
  }
  line.push_back(fmt::format("{}", d.blocks));
  add_cells(line, true, cell);
  line.push_back(pair == nullptr ? "" : csv_text(comparison.label(pair->reference)));
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    if (kSummaries[i].kind != NumberKind::known) continue;
    const auto& one = row.intervals[i];
    line.push_back(one ? csv_number(one->low) : "");
    line.push_back(one ? csv_number(one->high) : "");
  }
  return line;
}

template <class Row>
ordered_json column(const std::vector<Row>& rows, double Row::*member) {
  ordered_json values = ordered_json::array();
  for (const Row& row : rows) values.push_back(json_number(row.*member));
  return values;
}

ordered_json quiet_at(const QuietState& state) {
  return {{"lost", column(state.ranks, &QuietReading::lost)},
          {"lost_cpu", column(state.ranks, &QuietReading::lost_cpu)},
          {"longest_pause", column(state.ranks, &QuietReading::longest_pause)},
          {"quantum", column(state.ranks, &QuietReading::quantum)},
          {"barrier_skew_median", json_number(state.barrier_skew_median)},
          {"barrier_skew_p99", json_number(state.barrier_skew_p99)}};
}

ordered_json quiet_of(const QuietReadings& quiet) {
  return {{"before", quiet_at(quiet.before)},
          {"after", quiet_at(quiet.after)},
          {"involuntary_switches", column(quiet.during, &QuietUse::switches)},
          {"steal", column(quiet.during, &QuietUse::steal)},
          {"other_work", column(quiet.during, &QuietUse::other_work)},
          {"pressure", column(quiet.during, &QuietUse::pressure)},
          {"warnings", quiet_warnings(quiet)}};
}

ordered_json energy_json(const EnergyUse& use) {
  return {{"joules", json_number(use.joules)},
          {"seconds", json_number(use.seconds)},
          {"step_seconds", json_number(use.step_seconds)},
          {"per_token", json_number(use.per_token)},
          {"per_assignment", json_number(use.per_assignment)}};
}

ordered_json soak_json(const SoakRecord& soak) {
  return {{"seconds", json_number(soak.seconds)},
          {"steps", soak.steps},
          {"steady", soak.steady < 0 ? ordered_json() : ordered_json(soak.steady == 1)},
          {"unsteady", soak.unsteady}};
}

ordered_json gpus_of(const RunReader& file, const RunEnergy& energy) {
  ordered_json one = energy_json(energy.all);
  one["counted"] = energy.all.known() ? ordered_json(energy.counted) : ordered_json();
  one["gpus"] = energy.gpus;
  one["covered"] = json_number(energy.covered);
  return {{"energy", one}, {"findings", gpu_findings(file)}};
}

}  // namespace

CsvTable csv_table(const Comparison& comparison) {
  CsvTable table{csv_columns(), {}};
  for (int placement = 0; placement < static_cast<int>(comparison.placements.size()); ++placement) {
    const auto& row = comparison.placements[static_cast<std::size_t>(placement)];
    if (comparison.pair_of(placement) == nullptr) {
      table.lines.push_back(csv_line(comparison, row, nullptr));
    }
    for (const PairDifference& pair : comparison.pairs) {
      if (pair.placement == placement) table.lines.push_back(csv_line(comparison, row, &pair));
    }
  }
  return table;
}

std::string as_json(const RunReader& file, const Comparison& comparison, const std::string& path) {
  const RunInfo& info = file.info();
  ordered_json rows = ordered_json::array();
  for (const PlacementSummary& row : comparison.placements) {
    ordered_json one = row_of(row);
    one["difference"] =
        difference_of(comparison, comparison.pair_of(static_cast<int>(rows.size())));
    rows.push_back(one);
  }
  const CheckRecord& check = file.end().check;
  const Verdict verdict = verdict_of(file, comparison);
  ordered_json facts(info.facts);
  return ordered_json{{"file", path},
                      {"schema_version", kRunSchemaVersion},
                      {"completed", file.completed()},
                      {"stopped", file.end().stopped},
                      {"clock", info.clock},
                      {"emulated_slowdown", info.slowdown},
                      {"cost_model", planned_cost(info)},
                      {"facts", facts},
                      {"ranks", info.rank_facts},
                      {"drift", comparison.drift},
                      {"quiet", quiet_of(quiet_readings(file))},
                      {"gpus", gpus_of(file, comparison.energy)},
                      {"soak", soak_json(file.end().soak)},
                      {"soak_profile", soak_json(file.end().soak_profile)},
                      {"seconds", file.end().seconds},
                      {"config", ordered_json::parse(info.config, nullptr, false)},
                      {"unit", "s"},
                      {"placements", rows},
                      {"pairs", pairs_of(comparison)},
                      {"fastest", verdict.fastest ? ordered_json(comparison.label(*verdict.fastest))
                                                  : ordered_json()},
                      {"verdict", verdict.sentence},
                      {"check",
                       {{"mode", check.mode},
                        {"passed", check.passed},
                        {"outputs", check.checked_tokens},
                        {"worst_error", check.worst_error},
                        {"tolerance", check.tolerance},
                        {"message", check.message}}}}
             .dump(2) +
         "\n";
}

}  // namespace gembench::inline report
