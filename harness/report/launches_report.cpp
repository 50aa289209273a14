#include "harness/report/launches_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/report/numbers.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string table_line(const PooledPair& pair) {
  const PooledDifference& d = pair.step_time;
  const std::string interval =
      d.low ? fmt::format("95 % CI {} .. {}, {} launches", percent_change(*d.low),
                          percent_change(*d.high), d.launches)
            : fmt::format("no interval: {} of the {} launches needed, run it once more", d.launches,
                          kLeastLaunches);
  std::string text = fmt::format(
      "# {} vs {}: step time {} ({}); by the means {}; launches differ by {:.2f} points",
      pair.placement, pair.reference, percent_change(d.typical), interval, percent_change(d.mean),
      d.between * 100);
  if (d.within) text += fmt::format(", noise within them explains {:.2f}", *d.within * 100);
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
                     {"mean", json_number(d.mean)},
                     {"typical", json_number(d.typical)},
                     {"low", json_number(d.low)},
                     {"high", json_number(d.high)},
                     {"between", json_number(d.between)},
                     {"within", json_number(d.within)}});
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
                        csv_number(d.typical), csv_number(d.low), csv_number(d.high),
                        csv_number(d.mean), csv_number(d.between), csv_number(d.within));
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
