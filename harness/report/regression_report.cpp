#include "harness/report/regression_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/report/columns.hpp"
#include "harness/report/csv.hpp"
#include "harness/report/numbers.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string interval(const Difference& d) {
  return d.low ? fmt::format("{:+.2f} .. {:+.2f}", *d.low * 100, *d.high * 100) : "-";
}

std::string as_table(const Regression& regression) {
  std::string text =
      fmt::format("# {} of {}, against {} of {}\n", regression.new_file, regression.new_started,
                  regression.old_file, regression.old_started);
  for (const std::string& note : regression.notes) text += fmt::format("# NOTE: {}\n", note);
  std::vector<std::string> names;
  std::vector<TextColumn> columns{{"step mean (us)", "then", {}},
                                  {"step mean (us)", "now", {}},
                                  {"step time", "change %", {}},
                                  {"step time", "95 % CI", {}},
                                  {"blocks", "", {}},
                                  {"slowest change of a rank", "rank", {}},
                                  {"slowest change of a rank", "%", {}},
                                  {"slowest change of a rank", "95 % CI", {}}};
  for (const PlacementSince& row : regression.placements) {
    names.push_back(row.placement);
    const auto rank = std::ranges::max_element(row.ranks, {}, &Difference::typical);
    const bool known = rank != row.ranks.end();
    const std::string cells[] = {
        shown(row.before, 0, kUs),
        shown(row.now, 0, kUs),
        shown(row.step_time.typical, 2, 100),
        interval(row.step_time),
        fmt::format("{}", row.step_time.blocks),
        known ? fmt::format("{}", rank - row.ranks.begin()) : "-",
        known ? shown(rank->typical, 2, 100) : "-",
        known ? interval(*rank) : "-",
    };
    for (std::size_t i = 0; i < columns.size(); ++i) columns[i].cells.push_back(cells[i]);
  }
  return text + text_table("placement", names, columns) +
         fmt::format("# {}\n", sentence_of(regression));
}

ordered_json difference_json(const Difference& d) {
  return {{"mean", json_number(d.mean)},
          {"typical", json_number(d.typical)},
          {"low", json_number(d.low)},
          {"high", json_number(d.high)},
          {"blocks", d.blocks}};
}

std::string as_json(const Regression& regression) {
  ordered_json rows = ordered_json::array();
  for (const PlacementSince& row : regression.placements) {
    ordered_json ranks = ordered_json::array();
    for (const Difference& d : row.ranks) ranks.push_back(difference_json(d));
    rows.push_back({{"placement", row.placement},
                    {"before", json_number(row.before)},
                    {"now", json_number(row.now)},
                    {"difference", difference_json(row.step_time)},
                    {"word", name_of(judge(row.step_time, regression.limit()))},
                    {"compute", ranks}});
  }
  return ordered_json{{"file", regression.new_file},
                      {"baseline", regression.old_file},
                      {"started", regression.new_started},
                      {"baseline_started", regression.old_started},
                      {"fail_above", json_number(regression.fail_above)},
                      {"limit", regression.limit()},
                      {"failed", has_failed(regression)},
                      {"sentence", sentence_of(regression)},
                      {"notes", regression.notes},
                      {"rank_names", regression.rank_names},
                      {"placements", rows}}
             .dump(2) +
         "\n";
}

/// A line for the step time of every placement, its `rank` empty, and one for each of its ranks'
/// computing.
std::string as_csv(const Regression& regression) {
  CsvTable table{{"placement", "rank", "before", "now", "difference", "difference_low",
                  "difference_high", "difference_mean", "blocks", "word"},
                 {}};
  const auto add = [&](const PlacementSince& row, const std::string& rank, const Difference& d) {
    const bool step = rank.empty();
    table.lines.push_back({csv_text(row.placement), rank, step ? csv_number(row.before) : "",
                           step ? csv_number(row.now) : "", csv_number(d.typical),
                           csv_number(d.low), csv_number(d.high), csv_number(d.mean),
                           fmt::format("{}", d.blocks),
                           step ? name_of(judge(d, regression.limit())) : ""});
  };
  for (const PlacementSince& row : regression.placements) {
    add(row, "", row.step_time);
    for (std::size_t rank = 0; rank < row.ranks.size(); ++rank) {
      add(row, fmt::format("{}", rank), row.ranks[rank]);
    }
  }
  return to_text(table);
}

}  // namespace

std::string regression_report(const Regression& regression, const std::string& format) {
  if (format == "json") return as_json(regression);
  if (format == "csv") return as_csv(regression);
  return as_table(regression);
}

}  // namespace gembench::inline report
