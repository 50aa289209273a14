#include "harness/report/launches_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "harness/report/csv.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/report_data.hpp"
#include "harness/report/verdict.hpp"

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
  for (const std::string& note : runs.notes) text += fmt::format("# NOTE: {}\n", note);
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
  return ordered_json{{"pooled",
                       {{"files", runs.paths},
                        {"seeds", runs.seeds},
                        {"notes", runs.notes},
                        {"pairs", pairs}}}}
             .dump(2) +
         "\n";
}

/// The lines of one pool, under these columns; others stay empty.
void add_pooled(CsvTable& table, const PooledRuns& runs) {
  const std::string files = csv_text(fmt::format("{}", fmt::join(runs.paths, " ")));
  for (const auto& [placement, reference, d] : runs.pairs) {
    const std::map<std::string, std::string> known{{"file", files},
                                                   {"placement", csv_text(placement)},
                                                   {"against", csv_text(reference)},
                                                   {"difference", csv_number(d.typical)},
                                                   {"difference_low", csv_number(d.low)},
                                                   {"difference_high", csv_number(d.high)},
                                                   {"difference_mean", csv_number(d.mean)},
                                                   {"launches", fmt::format("{}", d.launches)},
                                                   {"between", csv_number(d.between)},
                                                   {"within", csv_number(d.within)}};
    auto& line = table.lines.emplace_back();
    for (const std::string& column : table.columns) {
      const auto found = known.find(column);
      line.push_back(found == known.end() ? "" : found->second);
    }
  }
}

}  // namespace

std::string pooled_report(const PooledRuns& runs, const std::string& format) {
  return format == "json" ? as_json(runs) : as_table(runs);
}

std::string launches_csv(const std::vector<LaunchRun>& launches,
                         const std::vector<PooledRuns>& groups) {
  CsvTable all{{"file"}, {}};
  for (const LaunchRun& launch : launches) {
    CsvTable table = csv_table(launch.comparison);
    if (all.columns.size() == 1) {
      all.columns.insert(all.columns.end(), table.columns.begin(), table.columns.end());
      for (const char* name : {"launches", "between", "within"}) all.columns.emplace_back(name);
    }
    for (auto& line : table.lines) {
      line.insert(line.begin(), csv_text(launch.path));
      line.resize(all.columns.size());
      all.lines.push_back(std::move(line));
    }
  }
  for (const PooledRuns& runs : groups) add_pooled(all, runs);
  return to_text(all);
}

std::string pooled_verdict(const PooledRuns& runs) {
  std::vector<std::string> found;
  for (const auto& [placement, reference, d] : runs.pairs) {
    const auto faster = faster_sentence(placement, reference, d.typical, d.low, d.high);
    if (faster) {
      found.push_back(*faster);
      continue;
    }
    found.push_back(fmt::format(
        "{}: {}", undecided(fmt::format("{} and {}", placement, reference), d.low.has_value()),
        d.low ? "more launches would narrow the interval"
              : fmt::format("it takes {} launches", kLeastLaunches)));
  }
  return fmt::format("{}over {} launches: {}", runs.in_sample ? kInSample : "", runs.paths.size(),
                     fmt::join(found, "; "));
}

}  // namespace gembench::inline report
