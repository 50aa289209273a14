#include "harness/report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace gembench {
namespace {

using nlohmann::ordered_json;

constexpr double kUs = 1e6;

std::string fact(const RunInfo& info, const std::string& name) {
  const auto found = info.facts.find(name);
  return found == info.facts.end() ? "?" : found->second;
}

/// `-` for what was not measured, never 0.
std::string number(double value, int decimals, double factor = 1) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value * factor, decimals) : "-";
}

std::string percent(double value) {
  return fmt::format("{:+.2f} %", value * 100);
}

double non_moe_time(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  if (!config.is_object()) return 0;
  const auto found = config.find("non-moe-time");
  return found != config.end() && found->is_number() ? found->get<double>() : 0;
}

bool emulated(const RunInfo& info) {
  for (const double s : info.slowdown) {
    if (s != 1) return true;
  }
  return false;
}

std::string clock_line(const RunInfo& info) {
  if (info.clock == "cpu-time") {
    return "# clock cpu-time: thread CPU time of route and experts; no number holds communication "
           "or real waiting";
  }
  return "# clock wall: every phase and wait as it passed on each rank";
}

std::string header(const RunReader& file) {
  const RunInfo& info = file.info();
  std::string text = fmt::format("# {}  schema {}  {}\n", fact(info, "program"), kRunSchemaVersion,
                                 fact(info, "started"));
  text += fmt::format("# {} ranks on {}  {}  {}\n", info.shape.ranks, fact(info, "nodes"),
                      fact(info, "mpi"), fact(info, "device"));
  text += clock_line(info) + fmt::format(" ({})\n", fact(info, "clock_reason"));
  text += fmt::format("# {}\n", fact(info, "model"));
  text += fmt::format("# routing {}; {}\n", fact(info, "routing"), fact(info, "plan"));
  text += fmt::format("# seed {}  non-MoE time {:g} s a layer\n", info.seed, non_moe_time(info));
  if (emulated(info)) {
    text += "# variability is EMULATED: the slowdown below stretches each rank's compute\n";
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
  return text;
}

std::string difference_line(const PlacementSummary& row, const std::string& reference) {
  const Difference& d = row.against_first;
  const std::string interval = d.low ? fmt::format("95 % CI {} .. {}, {} blocks", percent(*d.low),
                                                   percent(*d.high), d.blocks)
                                     : std::string("no interval from one block: raise --steps");
  return fmt::format("# {} vs {}: step time {} ({})\n", row.label, reference, percent(d.mean),
                     interval);
}

}  // namespace

std::string as_table(const RunReader& file, const Comparison& comparison, const std::string& path) {
  std::string text = header(file);
  if (!file.completed())
    text += "# INCOMPLETE: the run ended early; this is what it had measured\n";
  text +=
      "#\n"
      "#                          step time (us)                barrier wait      arrives last    "
      "imbalance       time to barriers (us)\n"
      "# placement         mean       p50       p90       p99   mean us     %    rank      %   "
      "total   step   predicted  measured  err %\n";
  for (const PlacementSummary& row : comparison.placements) {
    text += fmt::format(
        "  {:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>5}  {:>6} {:>6}  {:>6} {:>6}  {:>10} {:>9} "
        "{:>6}\n",
        row.label, number(row.step_mean, 0, kUs), number(row.step_p50, 0, kUs),
        number(row.step_p90, 0, kUs), number(row.step_p99, 0, kUs), number(row.wait_mean, 0, kUs),
        number(row.wait_share, 1, 100), row.straggler, number(row.straggler_share, 1, 100),
        number(row.aggregate_imbalance, 3), number(row.step_imbalance, 3),
        number(row.predicted, 0, kUs), number(row.measured, 0, kUs),
        number(row.predicted / row.measured - 1, 1, 100));
  }
  text += "#\n";
  for (std::size_t i = 1; i < comparison.placements.size(); ++i) {
    text += difference_line(comparison.placements[i], comparison.placements[0].label);
  }
  for (const PlacementSummary& row : comparison.placements) {
    if (row.moved_bytes > 0) {
      text += fmt::format("# switch to {}: {:.1f} MiB of experts moved between ranks in {:.3f} s\n",
                          row.label, row.moved_bytes / 0x1p20, row.moved_seconds);
    }
  }
  text += fmt::format("# result: {}\n", path);
  const CheckRecord& check = file.end().check;
  if (!file.completed()) return text + "# check: INCOMPLETE\n";
  if (check.mode == "none") return text + "# check: none\n";
  text +=
      fmt::format("# {} outputs against a plain reference, worst error {:.2g} (allowed {:.2g})\n",
                  check.checked_tokens, check.worst_error, check.tolerance);
  return text +
         (check.passed ? "# check: PASS\n" : fmt::format("# check: FAIL {}\n", check.message));
}

std::string as_csv(const RunReader&, const Comparison& comparison) {
  std::string text =
      "placement,steps,step_mean,step_p50,step_p90,step_p99,wait_mean,wait_share,straggler,"
      "straggler_share,aggregate_imbalance,step_imbalance,predicted,measured,moved_bytes,"
      "moved_seconds,difference,difference_low,difference_high,blocks\n";
  for (const PlacementSummary& row : comparison.placements) {
    const Difference& d = row.against_first;
    const auto maybe = [](const std::optional<double>& v) {
      return v ? fmt::format("{:.6g}", *v) : std::string();
    };
    // Labels are strategy names or file names; quotes keep a comma in a file name harmless.
    text += fmt::format(
        "\"{}\",{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},"
        "{:.0f},{:.6g},{:.6g},{},{},{}\n",
        row.label, row.steps, row.step_mean, row.step_p50, row.step_p90, row.step_p99,
        row.wait_mean, row.wait_share, row.straggler, row.straggler_share, row.aggregate_imbalance,
        row.step_imbalance, row.predicted, row.measured, row.moved_bytes, row.moved_seconds, d.mean,
        maybe(d.low), maybe(d.high), d.blocks);
  }
  return text;
}

std::string as_json(const RunReader& file, const Comparison& comparison, const std::string& path) {
  const RunInfo& info = file.info();
  ordered_json rows = ordered_json::array();
  for (const PlacementSummary& row : comparison.placements) {
    ordered_json one{{"placement", row.label},
                     {"steps", row.steps},
                     {"step_mean", row.step_mean},
                     {"step_p50", row.step_p50},
                     {"step_p90", row.step_p90},
                     {"step_p99", row.step_p99},
                     {"wait_mean", row.wait_mean},
                     {"wait_share", row.wait_share},
                     {"straggler", row.straggler},
                     {"last_share", row.last_share},
                     {"aggregate_imbalance", row.aggregate_imbalance},
                     {"step_imbalance", row.step_imbalance},
                     {"predicted", row.predicted},
                     {"measured", row.measured},
                     {"moved_bytes", row.moved_bytes},
                     {"moved_seconds", row.moved_seconds}};
    const Difference& d = row.against_first;
    one["difference"] = {{"mean", d.mean}, {"blocks", d.blocks}};
    if (d.low) one["difference"]["low"] = *d.low;
    if (d.high) one["difference"]["high"] = *d.high;
    rows.push_back(one);
  }
  const CheckRecord& check = file.end().check;
  ordered_json facts(info.facts);
  return ordered_json{{"file", path},
                      {"schema_version", kRunSchemaVersion},
                      {"completed", file.completed()},
                      {"clock", info.clock},
                      {"emulated_slowdown", info.slowdown},
                      {"facts", facts},
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

std::string report(const std::string& path, const std::string& format) {
  const RunReader file(path);
  const Comparison comparison = compare(file, non_moe_time(file.info()));
  if (format == "csv") return as_csv(file, comparison);
  if (format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path);
}

}  // namespace gembench
