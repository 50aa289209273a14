#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/quiet_report.hpp"
#include "harness/report/report.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

/// Empty for what was not measured.
std::string known(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : std::string();
}

/// null for what was not measured: JSON has no NaN.
ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

ordered_json changes_of(const PlacementSummary& row) {
  constexpr const char* kReasons[] = {"speeds", "loads", "both"};
  ordered_json changes = ordered_json::array();
  for (const auto& [step, what] : row.changes) {
    changes.push_back({{"after_step", step},
                       {"reason", kReasons[static_cast<std::size_t>(what.reason)]},
                       {"experts_moved", what.experts_moved},
                       {"bytes_moved", what.bytes_moved},
                       {"move_seconds", number(what.move_seconds)},
                       {"planning_seconds", number(what.planning_seconds)},
                       {"predicted_gain", number(what.predicted_gain)}});
  }
  return changes;
}

/// The intervals under the names of what they are of.
struct NamedInterval {
  const char* name;
  std::optional<Interval> SummaryIntervals::*of;
};
constexpr NamedInterval kIntervals[] = {{"step_mean", &SummaryIntervals::step_mean},
                                        {"step_p50", &SummaryIntervals::step_p50},
                                        {"step_p90", &SummaryIntervals::step_p90},
                                        {"step_p99", &SummaryIntervals::step_p99},
                                        {"wait_mean", &SummaryIntervals::wait_mean},
                                        {"wait_share", &SummaryIntervals::wait_share},
                                        {"straggler_share", &SummaryIntervals::straggler_share}};

ordered_json intervals_of(const PlacementSummary& row) {
  ordered_json all;
  for (const auto& [name, of] : kIntervals) {
    const auto& one = row.intervals.*of;
    all[name] =
        one ? ordered_json{{"low", number(one->low)}, {"high", number(one->high)}} : ordered_json();
  }
  return all;
}

const Difference kNone;

/// `pair` may be null: of what is compared with nothing.
ordered_json difference_of(const Comparison& comparison, const PairDifference* pair) {
  const Difference& d = pair == nullptr ? kNone : pair->step_time;
  return {{"against",
           pair == nullptr ? ordered_json() : ordered_json(comparison.label(pair->reference))},
          {"mean", number(d.mean)},
          {"typical", number(d.typical)},
          {"low", number(d.low.value_or(NAN))},
          {"high", number(d.high.value_or(NAN))},
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

/// One line of CSV: a placement, and one of its pairs where it has any.
std::string csv_line(const Comparison& comparison, const PlacementSummary& row,
                     const PairDifference* pair) {
  const Difference& d = pair == nullptr ? kNone : pair->step_time;
  const Rates& r = row.rates;
  // Labels are strategy names or file names; quotes keep a comma in a file name harmless.
  std::string text = fmt::format(
      "\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{:.0f},{},{},{},{},{},{},{},{}"
      ",{},{},{},{},{},{},{}",
      row.label, row.steps, known(row.step_mean), known(row.step_p50), known(row.step_p90),
      known(row.step_p99), known(row.wait_mean), known(row.wait_share),
      row.straggler < 0 ? "" : fmt::format("{}", row.straggler), known(row.straggler_share),
      known(row.aggregate_imbalance), known(row.step_imbalance), known(row.predicted),
      known(row.predicted_by_experts), known(row.measured), row.moved_bytes,
      known(row.moved_seconds), known(d.typical), known(d.low.value_or(NAN)),
      known(d.high.value_or(NAN)), known(d.mean), d.blocks, known(r.tokens), known(r.expert_flops),
      known(r.active_experts), known(r.distinct_ranks), known(r.dispatch), known(r.combine),
      known(r.payload_bytes), known(r.metadata_bytes), known(r.inter_node_bytes));
  text += pair == nullptr ? "," : fmt::format(",\"{}\"", comparison.label(pair->reference));
  for (const auto& [name, of] : kIntervals) {
    const auto& one = row.intervals.*of;
    text += one ? fmt::format(",{},{}", known(one->low), known(one->high)) : ",,";
  }
  return text + '\n';
}

template <class Row>
ordered_json column(const std::vector<Row>& rows, double Row::*member) {
  ordered_json values = ordered_json::array();
  for (const Row& row : rows) values.push_back(number(row.*member));
  return values;
}

ordered_json quiet_at(const QuietState& state) {
  return {{"lost", column(state.ranks, &QuietReading::lost)},
          {"lost_cpu", column(state.ranks, &QuietReading::lost_cpu)},
          {"longest_pause", column(state.ranks, &QuietReading::longest_pause)},
          {"quantum", column(state.ranks, &QuietReading::quantum)},
          {"barrier_skew_median", number(state.barrier_skew_median)},
          {"barrier_skew_p99", number(state.barrier_skew_p99)}};
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

}  // namespace

std::string as_csv(const RunReader&, const Comparison& comparison) {
  std::string text =
      "placement,steps,step_mean,step_p50,step_p90,step_p99,wait_mean,wait_share,straggler,"
      "straggler_share,aggregate_imbalance,step_imbalance,predicted,predicted_by_experts,measured,"
      "moved_bytes,"
      "moved_seconds,difference,difference_low,difference_high,difference_mean,blocks,tokens_per_s,"
      "expert_flops,"
      "active_experts,distinct_ranks,dispatch_bytes_per_s,combine_bytes_per_s,payload_bytes,"
      "metadata_bytes,inter_node_bytes,against";
  for (const auto& [name, of] : kIntervals) text += fmt::format(",{0}_low,{0}_high", name);
  text += '\n';
  for (int placement = 0; placement < static_cast<int>(comparison.placements.size()); ++placement) {
    const auto& row = comparison.placements[static_cast<std::size_t>(placement)];
    if (comparison.pair_of(placement) == nullptr) text += csv_line(comparison, row, nullptr);
    for (const PairDifference& pair : comparison.pairs) {
      if (pair.placement == placement) text += csv_line(comparison, row, &pair);
    }
  }
  return text;
}

std::string as_json(const RunReader& file, const Comparison& comparison, const std::string& path) {
  const RunInfo& info = file.info();
  ordered_json rows = ordered_json::array();
  for (const PlacementSummary& row : comparison.placements) {
    ordered_json one{
        {"placement", row.label},
        {"steps", row.steps},
        {"step_mean", row.step_mean},
        {"step_p50", row.step_p50},
        {"step_p90", row.step_p90},
        {"step_p99", row.step_p99},
        {"wait_mean", number(row.wait_mean)},
        {"wait_share", number(row.wait_share)},
        {"straggler", row.straggler < 0 ? ordered_json() : ordered_json(row.straggler)},
        {"straggler_share", number(row.straggler_share)},
        {"last_share", row.last_share},
        {"aggregate_imbalance", row.aggregate_imbalance},
        {"step_imbalance", row.step_imbalance},
        {"predicted", number(row.predicted)},
        {"predicted_by_experts", number(row.predicted_by_experts)},
        {"measured", number(row.measured)},
        {"moved_bytes", row.moved_bytes},
        {"moved_seconds", row.moved_seconds},
        {"replicas", row.replicas},
        {"changes", changes_of(row)}};
    const Rates& r = row.rates;
    one["rates"] = {{"tokens_per_s", number(r.tokens)},
                    {"expert_flops", number(r.expert_flops)},
                    {"active_experts", number(r.active_experts)},
                    {"distinct_ranks", number(r.distinct_ranks)},
                    {"dispatch_bytes_per_s", number(r.dispatch)},
                    {"combine_bytes_per_s", number(r.combine)},
                    {"payload_bytes", number(r.payload_bytes)},
                    {"metadata_bytes", number(r.metadata_bytes)},
                    {"inter_node_bytes", number(r.inter_node_bytes)}};
    one["intervals"] = intervals_of(row);
    one["difference"] =
        difference_of(comparison, comparison.pair_of(static_cast<int>(rows.size())));
    rows.push_back(one);
  }
  const CheckRecord& check = file.end().check;
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
                      {"seconds", file.end().seconds},
                      {"config", ordered_json::parse(info.config, nullptr, false)},
                      {"unit", "s"},
                      {"placements", rows},
                      {"pairs", pairs_of(comparison)},
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

double stated_non_moe_time(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  if (!config.is_object()) return 0;
  const auto found = config.find("non-moe-time");
  return found != config.end() && found->is_number() ? found->get<double>() : 0;
}

std::string planned_cost(const RunInfo& info) {
  if (const auto found = info.facts.find("cost"); found != info.facts.end()) return found->second;
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  return config.is_object() && config.value("cost", "") == "experts" ? "experts" : "tokens";
}

std::string run_report(const RunReader& file, const Comparison& comparison, const std::string& path,
                       const std::string& format) {
  if (format == "csv") return as_csv(file, comparison);
  if (format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path);
}

std::string run_report(const std::string& path, const std::string& format) {
  const RunReader file(path);
  return run_report(file, compare(file, stated_non_moe_time(file.info())), path, format);
}

}  // namespace gembench::inline report
