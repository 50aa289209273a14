#include "harness/report/score_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/numbers.hpp"
#include "harness/report/shrinkage_json.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string table(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  std::size_t width = 12;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  std::string text =
      fmt::format("# predicted by the profile of {}; {} ranks\n# judged on {} steps of {}{}\n",
                  context.profile, context.ranks, context.judged_steps, context.trace,
                  context.held_out ? fmt::format(", after the {} planned on", context.planned_steps)
                                   : std::string(", the same that were planned on (in-sample)"));
  if (!context.slowdown.empty()) {
    const auto [least, most] =
        std::minmax_element(context.slowdown.begin(), context.slowdown.end());
    if (*least != 1 || *most != 1) {
      text += fmt::format("# ranks are slowed down by {:.3f} .. {:.3f} (assumed, not measured)\n",
                          *least, *most);
    }
  }
  if (context.shrinkage)
    text += fmt::format("# planned on {}; judged on the profile as it is\n",
                        to_text(*context.shrinkage));
  for (const std::string& note : context.notes) text += fmt::format("# {}\n", note);
  text += fmt::format(
      "# {0:<{1}}          step time (us)               bound     gap    lost at barriers (us)    "
      "imbalance      slowest     extra\n"
      "# {2:<{1}}      mean       p50       p99        us       %   load    speed     total    "
      "step  "
      "  rank     %  copies   moves  plan s\n",
      "", width, "placement");
  if (!rows.empty() && rows[0].nodes) {
    text.pop_back();
    text += "  between nodes: MB       us\n";
  }
  for (const auto& [name, seconds, s, nodes, in_sample] : rows) {
    text += fmt::format(
        "  {:<{}} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7} {:>5} {:>7} {:>7} "
        "{:>7}\n",
        name, width, shown(s.step_mean, 1, kUs), shown(s.step_p50, 1, kUs),
        shown(s.step_p99, 1, kUs), shown(s.bound, 1, kUs), shown(s.gap, 2, 100),
        shown(s.straggle_load, 1, kUs), shown(s.straggle_speed, 1, kUs),
        shown(s.aggregate_imbalance, 3), shown(s.step_imbalance, 3), s.straggler,
        shown(s.straggler_share, 1, 100), s.duplicates, s.moves, shown(seconds, 3));
    if (!nodes) continue;
    text.pop_back();
    text += fmt::format(" {:>18.3f} {:>8.1f}\n", nodes->bytes * 1e-6, nodes->seconds * kUs);
  }
  return text;
}

std::string json(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, seconds, s, nodes, in_sample] : rows) {
    list.push_back({{"placement", name},
                    {"step_mean", s.step_mean},
                    {"step_p50", s.step_p50},
                    {"step_p99", s.step_p99},
                    {"bound", s.bound},
                    {"gap", json_number(s.gap)},
                    {"straggle", s.straggle},
                    {"straggle_load", s.straggle_load},
                    {"straggle_speed", s.straggle_speed},
                    {"aggregate_imbalance", s.aggregate_imbalance},
                    {"step_imbalance", s.step_imbalance},
                    {"slowest_rank", s.straggler},
                    {"slowest_share", s.straggler_share},
                    {"duplicates", s.duplicates},
                    {"moves", s.moves},
                    {"plan_seconds", seconds}});
    list.back()["in_sample_steps"] = in_sample ? ordered_json(*in_sample) : ordered_json(nullptr);
    if (nodes) list.back()["node_bytes"] = nodes->bytes;
    if (nodes) list.back()["node_seconds"] = nodes->seconds;
  }
  return ordered_json{{"profile", context.profile},
                      {"trace", context.trace},
                      {"ranks", context.ranks},
                      {"slowdown", context.slowdown},
                      {"shrinkage", shrinkage_json(context.shrinkage)},
                      {"planned_steps", context.planned_steps},
                      {"steps", context.judged_steps},
                      {"held_out", context.held_out},
                      {"notes", context.notes},
                      {"unit", "s"},
                      {"placements", list}}
             .dump(2) +
         "\n";
}

std::string csv(const std::vector<JudgedPlacement>& rows) {
  const bool with_nodes = !rows.empty() && rows[0].nodes;
  std::string text =
      "placement,step_mean,step_p50,step_p99,bound,gap,straggle,straggle_load,straggle_speed,"
      "aggregate_imbalance,step_imbalance,slowest_rank,slowest_share,duplicates,moves,plan_"
      "seconds,in_sample_steps";
  text += with_nodes ? ",node_bytes,node_seconds\n" : "\n";
  for (const auto& [name, seconds, s, nodes, in_sample] : rows) {
    text += fmt::format(
        "\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", name, csv_number(s.step_mean),
        csv_number(s.step_p50), csv_number(s.step_p99), csv_number(s.bound), csv_number(s.gap),
        csv_number(s.straggle), csv_number(s.straggle_load), csv_number(s.straggle_speed),
        csv_number(s.aggregate_imbalance), csv_number(s.step_imbalance), s.straggler,
        csv_number(s.straggler_share), s.duplicates, s.moves, csv_number(seconds));
    text += in_sample ? fmt::format(",{}", *in_sample) : ",";
    if (with_nodes)
      text += nodes ? fmt::format(",{:.6g},{:.6g}", nodes->bytes, nodes->seconds) : ",,";
    text += '\n';
  }
  return text;
}

}  // namespace

std::string score_report(const ScoreContext& context, const std::vector<JudgedPlacement>& rows,
                         const std::string& format) {
  if (format == "json") return json(context, rows);
  if (format == "csv") return csv(rows);
  return table(context, rows);
}

}  // namespace gembench::inline report
