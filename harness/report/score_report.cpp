#include "harness/report/score_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/learning_json.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/shrinkage_json.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

/// What was planned on, after the judged steps.
std::string basis(const ScoreContext& context) {
  if (!context.judged_on.empty())
    return fmt::format(", planned on {} of {}", context.planned_steps, context.trace);
  if (context.held_out) return fmt::format(", after the {} planned on", context.planned_steps);
  return ", the same that were planned on (in-sample)";
}

/// Step time against the first row's, a share; NaN: nothing to compare.
double change_of(const std::vector<JudgedPlacement>& rows, const Score& score) {
  const double first = rows[0].score.step_mean;
  return first > 0 ? score.step_mean / first - 1 : NAN;
}

std::string signed_percent(double share) {
  return std::isfinite(share) ? fmt::format("{:+.2f}", share * 100) : "-";
}

std::string table(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  std::size_t width = 12;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  std::string text =
      fmt::format("# predicted by the profile of {}; {} ranks\n# judged on {} steps of {}{}\n",
                  context.profile, context.ranks, context.judged_steps,
                  context.judged_on.empty() ? context.trace : context.judged_on, basis(context));
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
  if (context.basis)
    text += fmt::format("# {}\n", basis_of(context.basis->requests, context.basis->tasks));
  for (const std::string& note : context.notes) text += fmt::format("# {}\n", note);
  if (context.learning) text += fmt::format("# {}\n", to_text(*context.learning));
  if (!rows.empty()) {
    const PerfectBalance& balance = rows[0].score.balance;
    text += fmt::format(
        "# perfect balance, if tokens needed no experts: {} us with as many tokens on every rank, "
        "{} us with ranks that finish together\n",
        shown(balance.tokens, 1, kUs), shown(balance.time, 1, kUs));
  }
  text += fmt::format(
      "# {0:<{1}}          step time (us)            vs first    bound     gap    lost at barriers "
      "(us)    "
      "imbalance      slowest     extra\n"
      "# {2:<{1}}      mean       p50       p99         %       us       %   load    speed     "
      "total    "
      "step  "
      "  rank     %  copies   moves  plan s\n",
      "", width, "placement");
  if (!rows.empty() && rows[0].nodes) {
    text.pop_back();
    text += "  between nodes: MB       us\n";
  }
  if (!rows.empty() && rows[0].charge) {
    text.pop_back();
    text += "  fetched: experts       MB  mean with it\n";
  }
  for (const auto& [name, seconds, s, nodes, in_sample, charge] : rows) {
    text += fmt::format(
        "  {:<{}} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7} {:>5} {:>7} "
        "{:>7} "
        "{:>7}\n",
        name, width, shown(s.step_mean, 1, kUs), shown(s.step_p50, 1, kUs),
        shown(s.step_p99, 1, kUs), signed_percent(change_of(rows, s)), shown(s.bound, 1, kUs),
        shown(s.gap, 2, 100), shown(s.straggle_load, 1, kUs), shown(s.straggle_speed, 1, kUs),
        shown(s.aggregate_imbalance, 3), shown(s.step_imbalance, 3), s.straggler,
        shown(s.straggler_share, 1, 100), s.duplicates, s.moves, shown(seconds, 3));
    text.pop_back();
    if (rows[0].nodes && !nodes) text += fmt::format(" {:>18} {:>8}", "-", "-");
    if (nodes)
      text += fmt::format(" {:>18.3f} {:>8.1f}", nodes->bytes * 1e-6, nodes->seconds * kUs);
    if (charge) {
      text += fmt::format(" {:>17.1f} {:>8.1f} {:>13}", charge->fetched, charge->bytes * 1e-6,
                          shown(s.step_mean + charge->seconds, 1, kUs));
    }
    text += '\n';
  }
  return text;
}

std::string json(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, seconds, s, nodes, in_sample, charge] : rows) {
    list.push_back({{"placement", name},
                    {"step_mean", s.step_mean},
                    {"step_p50", s.step_p50},
                    {"step_p99", s.step_p99},
                    {"against_first", json_number(change_of(rows, s))},
                    {"bound", s.bound},
                    {"gap", json_number(s.gap)},
                    {"token_balance", s.balance.tokens},
                    {"time_balance", s.balance.time},
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
    if (!charge) continue;
    list.back()["fetched_experts"] = charge->fetched;
    list.back()["fetched_bytes"] = charge->bytes;
    list.back()["charged_mean"] = s.step_mean + charge->seconds;
  }
  ordered_json all{{"profile", context.profile},
                   {"trace", context.trace},
                   {"judged_on", context.judged_on.empty() ? context.trace : context.judged_on},
                   {"ranks", context.ranks},
                   {"slowdown", context.slowdown},
                   {"shrinkage", shrinkage_json(context.shrinkage)},
                   {"planned_steps", context.planned_steps},
                   {"steps", context.judged_steps},
                   {"held_out", context.held_out},
                   {"notes", context.notes},
                   {"unit", "s"},
                   {"placements", list}};
  if (context.basis) {
    all["requests"] =
        context.basis->requests > 0 ? ordered_json(context.basis->requests) : ordered_json(nullptr);
    all["tasks"] = context.basis->tasks;
  }
  if (context.learning) {
    all["learning"] = learning_json(*context.learning);
    all["learning_against"] = context.learning->against;
    all["learning_finding"] = context.learning->finding;
  }
  return all.dump(2) + "\n";
}

std::string csv(const std::vector<JudgedPlacement>& rows) {
  const bool with_nodes = !rows.empty() && rows[0].nodes;
  const bool with_charge = !rows.empty() && rows[0].charge;
  std::string text =
      "placement,step_mean,step_p50,step_p99,against_first,bound,gap,token_balance,time_balance,"
      "straggle,"
      "straggle_load,straggle_speed,"
      "aggregate_imbalance,step_imbalance,slowest_rank,slowest_share,duplicates,moves,plan_"
      "seconds,in_sample_steps";
  if (with_nodes) text += ",node_bytes,node_seconds";
  text += with_charge ? ",fetched_experts,fetched_bytes,charged_mean\n" : "\n";
  for (const auto& [name, seconds, s, nodes, in_sample, charge] : rows) {
    text += fmt::format("\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", name,
                        csv_number(s.step_mean), csv_number(s.step_p50), csv_number(s.step_p99),
                        csv_number(change_of(rows, s)), csv_number(s.bound), csv_number(s.gap),
                        csv_number(s.balance.tokens), csv_number(s.balance.time),
                        csv_number(s.straggle), csv_number(s.straggle_load),
                        csv_number(s.straggle_speed), csv_number(s.aggregate_imbalance),
                        csv_number(s.step_imbalance), s.straggler, csv_number(s.straggler_share),
                        s.duplicates, s.moves, csv_number(seconds));
    text += in_sample ? fmt::format(",{}", *in_sample) : ",";
    if (with_nodes)
      text += nodes ? fmt::format(",{:.6g},{:.6g}", nodes->bytes, nodes->seconds) : ",,";
    if (charge)
      text += fmt::format(",{:.6g},{:.6g},{}", charge->fetched, charge->bytes,
                          csv_number(s.step_mean + charge->seconds));
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
