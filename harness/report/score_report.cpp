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

std::string signed_percent(double share) {
  return std::isfinite(share) ? fmt::format("{:+.2f}", share * 100) : "-";
}

/// Mean, worst and interval over draws; the first row has none.
std::string drawn_columns(const JudgedPlacement& row) {
  if (!row.drawn) return fmt::format(" {:>24} {:>8} {:>18}", "-", "-", "-");
  const auto& [change, worst] = *row.drawn;
  return fmt::format(" {:>24} {:>8} {:>18}", signed_percent(change.mean), signed_percent(worst),
                     signed_percent(*change.low) + " .. " + signed_percent(*change.high));
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
  if (context.draws > 0) {
    text.pop_back();
    text += fmt::format("  over {:>4} draws, %: mean    worst            95 % CI\n", context.draws);
  }
  for (const JudgedPlacement& row : rows) {
    const Score& s = row.score;
    text += fmt::format(
        "  {:<{}} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7} {:>5} {:>7} "
        "{:>7} "
        "{:>7}\n",
        row.name, width, shown(s.step_mean, 1, kUs), shown(s.step_p50, 1, kUs),
        shown(s.step_p99, 1, kUs), signed_percent(change_against(rows[0], row)),
        shown(s.bound, 1, kUs), shown(s.gap, 2, 100), shown(s.straggle_load, 1, kUs),
        shown(s.straggle_speed, 1, kUs), shown(s.aggregate_imbalance, 3),
        shown(s.step_imbalance, 3), s.straggler, shown(s.straggler_share, 1, 100), s.duplicates,
        s.moves, shown(row.plan_seconds, 3));
    text.pop_back();
    if (rows[0].nodes && !row.nodes) text += fmt::format(" {:>18} {:>8}", "-", "-");
    if (row.nodes)
      text += fmt::format(" {:>18.3f} {:>8.1f}", row.nodes->bytes * 1e-6, row.nodes->seconds * kUs);
    if (row.charge) {
      text += fmt::format(" {:>17.1f} {:>8.1f} {:>13}", row.charge->fetched,
                          row.charge->bytes * 1e-6, shown(row.charged_mean(), 1, kUs));
    }
    if (context.draws > 0) text += drawn_columns(row);
    text += '\n';
  }
  if (context.verdict) text += fmt::format("# {}\n", context.verdict->sentence);
  return text;
}

std::string json(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  ordered_json list = ordered_json::array();
  for (const JudgedPlacement& row : rows) {
    const Score& s = row.score;
    list.push_back({{"placement", row.name},
                    {"step_mean", s.step_mean},
                    {"step_p50", s.step_p50},
                    {"step_p99", s.step_p99},
                    {"against_first", json_number(change_against(rows[0], row))},
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
                    {"plan_seconds", row.plan_seconds}});
    ordered_json& one = list.back();
    one["in_sample_steps"] = row.in_sample ? ordered_json(*row.in_sample) : ordered_json(nullptr);
    if (row.nodes) one["node_bytes"] = row.nodes->bytes;
    if (row.nodes) one["node_seconds"] = row.nodes->seconds;
    if (row.charge) {
      one["fetched_experts"] = row.charge->fetched;
      one["fetched_bytes"] = row.charge->bytes;
      one["charged_mean"] = row.charged_mean();
    }
    if (row.replanned) {
      one["replannings"] = row.replanned->replannings;
      one["changes"] = row.replanned->changes;
      one["moved_experts"] = row.replanned->moves;
      one["moved_bytes"] = row.replanned->bytes;
      one["moving_seconds"] = row.replanned->seconds;
    }
    if (row.drawn) {
      one["draws_mean"] = json_number(row.drawn->change.mean);
      one["draws_typical"] = json_number(row.drawn->change.typical);
      one["draws_low"] = json_number(row.drawn->change.low);
      one["draws_high"] = json_number(row.drawn->change.high);
      one["draws_worst"] = json_number(row.drawn->worst);
    }
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
  if (context.draws > 0) all["draws"] = context.draws;
  if (context.verdict) {
    all["predicted_fastest"] = context.verdict->fastest.empty()
                                   ? ordered_json(nullptr)
                                   : ordered_json(context.verdict->fastest);
    all["verdict"] = context.verdict->sentence;
  }
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

std::string replanned_cells(const std::optional<Replanned>& one) {
  if (!one) return ",,,,,";
  return fmt::format(",{},{},{},{:.6g},{}", one->replannings, one->changes, one->moves, one->bytes,
                     csv_number(one->seconds));
}

std::string drawn_cells(const std::optional<DrawnChange>& one) {
  if (!one) return ",,,,,";
  const Difference& change = one->change;
  return fmt::format(",{},{},{},{},{}", csv_number(change.mean), csv_number(change.typical),
                     csv_number(change.low), csv_number(change.high), csv_number(one->worst));
}

std::string csv(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  const bool with_nodes = !rows.empty() && rows[0].nodes;
  const bool with_charge = !rows.empty() && rows[0].charge;
  const bool with_replans =
      std::ranges::any_of(rows, [](const auto& row) { return row.replanned.has_value(); });
  std::string text =
      "placement,step_mean,step_p50,step_p99,against_first,bound,gap,token_balance,time_balance,"
      "straggle,"
      "straggle_load,straggle_speed,"
      "aggregate_imbalance,step_imbalance,slowest_rank,slowest_share,duplicates,moves,plan_"
      "seconds,in_sample_steps";
  if (with_nodes) text += ",node_bytes,node_seconds";
  if (with_charge) text += ",fetched_experts,fetched_bytes,charged_mean";
  if (with_replans) text += ",replannings,changes,moved_experts,moved_bytes,moving_seconds";
  if (context.draws > 0) text += ",draws_mean,draws_typical,draws_low,draws_high,draws_worst";
  text += '\n';
  for (const JudgedPlacement& row : rows) {
    const Score& s = row.score;
    text += fmt::format("\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", row.name,
                        csv_number(s.step_mean), csv_number(s.step_p50), csv_number(s.step_p99),
                        csv_number(change_against(rows[0], row)), csv_number(s.bound),
                        csv_number(s.gap), csv_number(s.balance.tokens), csv_number(s.balance.time),
                        csv_number(s.straggle), csv_number(s.straggle_load),
                        csv_number(s.straggle_speed), csv_number(s.aggregate_imbalance),
                        csv_number(s.step_imbalance), s.straggler, csv_number(s.straggler_share),
                        s.duplicates, s.moves, csv_number(row.plan_seconds));
    text += row.in_sample ? fmt::format(",{}", *row.in_sample) : ",";
    if (with_nodes)
      text +=
          row.nodes ? fmt::format(",{:.6g},{:.6g}", row.nodes->bytes, row.nodes->seconds) : ",,";
    if (row.charge)
      text += fmt::format(",{:.6g},{:.6g},{}", row.charge->fetched, row.charge->bytes,
                          csv_number(row.charged_mean()));
    if (with_replans) text += replanned_cells(row.replanned);
    if (context.draws > 0) text += drawn_cells(row.drawn);
    text += '\n';
  }
  return text;
}

}  // namespace

double change_against(const JudgedPlacement& first, const JudgedPlacement& row) {
  return first.charged_mean() > 0 ? row.charged_mean() / first.charged_mean() - 1 : NAN;
}

std::string score_report(const ScoreContext& context, const std::vector<JudgedPlacement>& rows,
                         const std::string& format) {
  if (format == "json") return json(context, rows);
  if (format == "csv") return csv(context, rows);
  return table(context, rows);
}

}  // namespace gembench::inline report
