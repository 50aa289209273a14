#include "harness/report/sensitivity_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "harness/report/numbers.hpp"
#include "harness/report/shrinkage_json.hpp"
#include "harness/statistics/interval.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string percent(std::optional<double> share) {
  return shown(share.value_or(std::numeric_limits<double>::quiet_NaN()), 2, 100);
}

std::string table(const SensitivityContext& context, const std::vector<SensitivityRow>& rows) {
  const ScoreContext& score = context.score;
  std::size_t width = 12;
  for (const auto& row : rows) width = std::max(width, row.strategy.size());
  std::string text = fmt::format(
      "# predicted by the profile of {}; {} ranks\n# loads: {}; {} draws of loads and of which "
      "rank "
      "is slow\n# planned on {} steps of a draw, judged on its {} later ones\n# change: of step "
      "time "
      "against {} (negative = faster), mean over draws with its 95 % interval\n",
      score.profile, score.ranks, score.trace, context.draws, score.planned_steps,
      score.judged_steps, rows.empty() ? "the first" : rows[0].strategy);
  if (score.shrinkage)
    text +=
        fmt::format("# planned on {}; judged on the profile as it is\n", to_text(*score.shrinkage));
  for (const std::string& note : score.notes) text += fmt::format("# {}\n", note);
  text += fmt::format("# {:<{}} {:>7} {:>9} {:>12} {:>9} {:>18}\n", "strategy", width, "alpha",
                      "spread %", "step mean us", "change %", "95 % interval");
  for (const auto& row : rows) {
    text += fmt::format(
        "  {:<{}} {:>7} {:>9} {:>12} {:>9} {:>18}\n", row.strategy, width, shown(row.alpha, 2),
        shown(row.spread, 1, 100), shown(row.step_mean, 1, kUs), percent(row.change),
        row.low ? fmt::format("{} .. {}", percent(row.low), percent(row.high)) : "-");
  }
  return text;
}

std::string csv(const std::vector<SensitivityRow>& rows) {
  std::string text = "strategy,alpha,spread,step_mean,change,low,high\n";
  for (const auto& row : rows) {
    text += fmt::format("\"{}\",{},{},{},{},{},{}\n", row.strategy, csv_number(row.alpha),
                        csv_number(row.spread), csv_number(row.step_mean), csv_number(row.change),
                        csv_number(row.low), csv_number(row.high));
  }
  return text;
}

std::string json(const SensitivityContext& context, const std::vector<SensitivityRow>& rows) {
  ordered_json list = ordered_json::array();
  for (const auto& row : rows) {
    list.push_back({{"strategy", row.strategy},
                    {"alpha", row.alpha},
                    {"spread", row.spread},
                    {"step_mean", json_number(row.step_mean)},
                    {"change", json_number(row.change)},
                    {"low", json_number(row.low)},
                    {"high", json_number(row.high)}});
  }
  const ScoreContext& score = context.score;
  return ordered_json{{"profile", score.profile},
                      {"loads", score.trace},
                      {"ranks", score.ranks},
                      {"shrinkage", shrinkage_json(score.shrinkage)},
                      {"draws", context.draws},
                      {"planned_steps", score.planned_steps},
                      {"steps", score.judged_steps},
                      {"notes", score.notes},
                      {"unit", "s"},
                      {"sensitivity", list}}
             .dump(2) +
         "\n";
}

}  // namespace

SensitivityRow sensitivity_row(std::string strategy, double alpha, double spread,
                               const std::vector<double>& own,
                               const std::vector<double>* reference) {
  SensitivityRow row{std::move(strategy), alpha, spread, mean_of(own), {}, {}, {}};
  if (!reference) return row;
  std::vector<double> changes;
  for (std::size_t draw = 0; draw < own.size(); ++draw)
    changes.push_back(own[draw] / (*reference)[draw] - 1);
  row.change = mean_of(changes);
  if (changes.size() < 2) return row;
  double squares = 0;
  for (const double change : changes) squares += (change - *row.change) * (change - *row.change);
  const auto n = static_cast<double>(changes.size());
  const double half = student_quantile(n - 1, 0.975) * std::sqrt(squares / (n - 1) / n);
  row.low = *row.change - half;
  row.high = *row.change + half;
  return row;
}

std::string sensitivity_report(const SensitivityContext& context,
                               const std::vector<SensitivityRow>& rows, const std::string& format) {
  if (format == "json") return json(context, rows);
  if (format == "csv") return csv(rows);
  return table(context, rows);
}

}  // namespace gembench::inline report
