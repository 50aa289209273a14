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

std::string in_words(const AgainstFirst& one, int draws) {
  if (!one.row->drawn) return percent_change(one.typical);
  return fmt::format("{}, {} draws", in_words(one.row->drawn->change), draws);
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
  std::string text;
  if (open(best))
    text = fmt::format("{}: step time {}",
                       undecided(fmt::format("{} and {}", best.row->name, first), true),
                       in_words(best, context.draws));
  else if (less)
    text = fmt::format("{} is predicted to take least time: step time {} against {}",
                       best.row->name, in_words(best, context.draws), first);
  else
    text =
        fmt::format("nothing is predicted to take less time than {}: {} comes next, step time {}",
                    first, best.row->name, in_words(best, context.draws));
  return {less ? best.row->name : first,
          fmt::format("{}{}{}",
                      in_sample ? "planned on the judged steps (in-sample), so gains are larger "
                                  "than a deployment would see: "
                                : "",
                      text, rests_on(context))};
}

}  // namespace gembench::inline report
