#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/quiet_report.hpp"
#include "harness/report.hpp"

namespace gembench {
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
      "metadata_bytes,inter_node_bytes\n";
  for (const PlacementSummary& row : comparison.placements) {
    const Difference& d = row.against_first;
    const auto maybe = [](const std::optional<double>& v) {
      return v ? fmt::format("{:.6g}", *v) : std::string();
    };
    const Rates& r = row.rates;
    // Labels are strategy names or file names; quotes keep a comma in a file name harmless.
    text += fmt::format(
        "\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{:.0f},{},{},{},{},{},{},{},{}"
        ",{},{},{},{},{},{},{}\n",
        row.label, row.steps, known(row.step_mean), known(row.step_p50), known(row.step_p90),
        known(row.step_p99), known(row.wait_mean), known(row.wait_share),
        row.straggler < 0 ? "" : fmt::format("{}", row.straggler), known(row.straggler_share),
        known(row.aggregate_imbalance), known(row.step_imbalance), known(row.predicted),
        known(row.predicted_by_experts), known(row.measured), row.moved_bytes,
        known(row.moved_seconds), known(d.typical), maybe(d.low), maybe(d.high), known(d.mean),
        d.blocks, known(r.tokens), known(r.expert_flops), known(r.active_experts),
        known(r.distinct_ranks), known(r.dispatch), known(r.combine), known(r.payload_bytes),
        known(r.metadata_bytes), known(r.inter_node_bytes));
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
    const Difference& d = row.against_first;
    const auto maybe = [](const std::optional<double>& v) { return v ? number(*v) : nullptr; };
    one["difference"] = {{"mean", number(d.mean)},
                         {"typical", number(d.typical)},
                         {"low", maybe(d.low)},
                         {"high", maybe(d.high)},
                         {"blocks", d.blocks}};
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

std::string report(const std::string& path, const std::string& format) {
  const RunReader file(path);
  const Comparison comparison = compare(file, stated_non_moe_time(file.info()));
  if (format == "csv") return as_csv(file, comparison);
  if (format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path);
}

}  // namespace gembench
