#include "harness/report/score_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/report/numbers.hpp"
#include "harness/report/verdict.hpp"

namespace gembench::inline report {
namespace {

/// A row against the first one.
struct AgainstFirst {
  const JudgedPlacement* row;
  double typical;
};

/// "step time -10.00 % against linear (95 % CI -12.00 % .. -8.00 %, 12 draws)"
std::string by_how_much(const AgainstFirst& one, const std::string& first, int draws) {
  const std::string text =
      fmt::format("step time {} against {}", percent_change(one.typical), first);
  if (!one.row->drawn) return text;
  const Difference& change = one.row->drawn->change;
  return fmt::format("{} (95 % CI {} .. {}, {} draws)", text, percent_change(*change.low),
                     percent_change(*change.high), draws);
}

/// Whether the interval, if there is one, holds 0.
bool open(const AgainstFirst& one) {
  if (!one.row->drawn) return false;
  const Difference& change = one.row->drawn->change;
  return *change.low <= 0 && *change.high >= 0;
}

std::string rests_on(const ScoreContext& context) {
  if (context.draws > 0) return "";
  return fmt::format(
      "; this rests on {} steps of one recording{} and no draws: --draws N gives an "
      "interval",
      context.judged_steps, context.drawn_speeds ? ", one draw of speeds" : "");
}

}  // namespace

ScoreVerdict score_verdict(const ScoreContext& context, const std::vector<JudgedPlacement>& rows) {
  std::vector<AgainstFirst> others;
  bool in_sample = false;
  for (const JudgedPlacement& row : rows) {
    if (!row.forecast) continue;
    in_sample = in_sample || row.in_sample.value_or(0) > 0;
    if (&row == rows.data()) continue;
    others.push_back({&row, row.drawn ? row.drawn->change.typical : change_against(rows[0], row)});
  }
  if (others.empty()) return {"", "one placement was judged: to compare, name several"};
  const AgainstFirst best = *std::ranges::min_element(others, {}, &AgainstFirst::typical);
  const std::string& first = rows[0].name;
  const bool less = best.typical < 0;
  const std::string difference = by_how_much(best, first, context.draws);
  const std::string text =
      open(best)
          ? fmt::format("{}: {}", undecided(fmt::format("{} and {}", best.row->name, first), true),
                        difference)
      : less ? fmt::format("{} is predicted to take least time: {}", best.row->name, difference)
             : fmt::format("nothing is predicted to take less time than {}: {} comes next, {}",
                           first, best.row->name, difference);
  return {open(best) ? ""
          : less     ? best.row->name
                     : first,
          fmt::format("{}{}{}",
                      in_sample ? "planned on the judged steps (in-sample), so gains are larger "
                                  "than a deployment would see: "
                                : "",
                      text, rests_on(context))};
}

}  // namespace gembench::inline report
