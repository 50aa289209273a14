#include "harness/report/launches_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string percent(double value) {
  return std::isfinite(value) ? fmt::format("{:+.2f} %", value * 100) : "-";
}

ordered_json number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? ordered_json(*value) : ordered_json();
}

std::string cell(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{:.6g}", *value) : std::string();
}

std::string table_line(const PooledPair& pair) {
  const PooledDifference& d = pair.step_time;
  const std::string interval =
      d.low ? fmt::format("95 % CI {} .. {}, {} launches", percent(*d.low), percent(*d.high),
                          d.launches)
            : fmt::format("no interval: {} launches of {} that it takes, run it once more",
                          d.launches, kLeastLaunches);
  std::string text = fmt::format(
      "# {} vs {}: step time {} ({}); by the means {}; launches differ by {:.2f} points",
      pair.placement, pair.reference, percent(d.typical), interval, percent(d.mean),
      d.between * 100);
  if (d.within) text += fmt::format(", noise within them makes {:.2f}", *d.within * 100);
  return text + '\n';
}

std::string as_table(const PooledRuns& runs) {
  const std::set<std::uint64_t> seeds(runs.seeds.begin(), runs.seeds.end());
  std::string text = fmt::format(
      "#\n# POOLED over {} launches of one configuration, seed{} {}: {}\n", runs.paths.size(),
      seeds.size() == 1 ? "" : "s", fmt::join(seeds, " "), fmt::join(runs.paths, " "));
  for (const PooledPair& pair : runs.pairs) text += table_line(pair);
  return text;
}

std::string as_json(const PooledRuns& runs) {
  ordered_json pairs = ordered_json::array();
  for (const auto& [placement, reference, d] : runs.pairs) {
    pairs.push_back({{"placement", placement},
                     {"against", reference},
                     {"launches", d.launches},
                     {"mean", number(d.mean)},
                     {"typical", number(d.typical)},
                     {"low", number(d.low)},
                     {"high", number(d.high)},
                     {"between", number(d.between)},
                     {"within", number(d.within)}});
  }
  return ordered_json{{"pooled", {{"files", runs.paths}, {"seeds", runs.seeds}, {"pairs", pairs}}}}
             .dump(2) +
         "\n";
}

std::string as_csv(const PooledRuns& runs) {
  std::string text =
      "pooled,against,launches,difference,difference_low,difference_high,difference_mean,between,"
      "within\n";
  for (const auto& [placement, reference, d] : runs.pairs) {
    text += fmt::format("\"{}\",\"{}\",{},{},{},{},{},{},{}\n", placement, reference, d.launches,
                        cell(d.typical), cell(d.low), cell(d.high), cell(d.mean), cell(d.between),
                        cell(d.within));
  }
  return text;
}

}  // namespace

std::string pooled_report(const PooledRuns& runs, const std::string& format) {
  if (format == "csv") return as_csv(runs);
  if (format == "json") return as_json(runs);
  return as_table(runs);
}

}  // namespace gembench::inline report
