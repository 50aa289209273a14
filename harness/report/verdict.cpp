#include "harness/report/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/report/conclusion.hpp"
#include "harness/report/numbers.hpp"

namespace gembench::inline report {
namespace {

/// The same difference, seen from the other placement.
double turned(double share) {
  return 1 / (1 + share) - 1;
}

/// `placement` against `reference`, whichever way round it was compared.
Difference between(const Comparison& comparison, int placement, int reference) {
  for (const PairDifference& pair : comparison.every_pair) {
    if (pair.placement == placement && pair.reference == reference) return pair.step_time;
    if (pair.placement != reference || pair.reference != placement) continue;
    Difference d = pair.step_time;
    d.mean = turned(d.mean);
    d.typical = turned(d.typical);
    if (d.low && d.high) {
      const double low = turned(*d.high);
      d.high = turned(*d.low);
      d.low = low;
    }
    return d;
  }
  return {};
}

std::string in_words(const Difference& d) {
  return fmt::format("{} (95 % CI {} .. {})", percent_change(d.typical), percent_change(*d.low),
                     percent_change(*d.high));
}

/// The placement that looks fastest: typical differences to the first one.
int candidate_of(const Comparison& comparison) {
  int best = 0;
  double least = 0;
  for (int i = 1; i < static_cast<int>(comparison.placements.size()); ++i) {
    const double typical = between(comparison, i, 0).typical;
    if (typical < least) std::tie(best, least) = std::pair(i, typical);
  }
  return best;
}

bool beats(const Comparison& comparison, int placement, int other) {
  const Difference d = between(comparison, placement, other);
  return d.high && *d.high < 0;
}

/// "between gem and eplb no difference was found: what would decide"; `best` looks fastest and
/// `rivals` may be as fast.
std::string open_question(const RunReader& file, const Comparison& comparison, int best,
                          const std::vector<int>& rivals) {
  std::string names = comparison.label(best);
  std::vector<Difference> open;
  for (const int rival : rivals) {
    names += (rival == rivals.back() ? " and " : ", ") + comparison.label(rival);
    open.push_back(between(comparison, best, rival));
  }
  return fmt::format("no difference was found between {}: {}", names,
                     what_decides(file, comparison, open));
}

std::string sentence_of(const RunReader& file, const Comparison& comparison,
                        std::optional<int> fastest) {
  const int count = static_cast<int>(comparison.placements.size());
  const int best = fastest.value_or(candidate_of(comparison));
  const int first = comparison.pairs.empty() ? 0 : comparison.pairs.front().reference;
  std::vector<int> others, rivals;
  for (int i = 0; i < count; ++i) {
    if (i == best) continue;
    others.push_back(i);
    if (!beats(comparison, best, i)) rivals.push_back(i);
  }
  const Difference to_first = between(comparison, best, first);
  const std::string over_first =
      best == first || !beats(comparison, best, first)
          ? ""
          : fmt::format("{} is faster than {}: step time {}", comparison.label(best),
                        comparison.label(first), in_words(to_first));
  if (!rivals.empty()) {
    const std::string question = open_question(file, comparison, best, rivals);
    return over_first.empty() ? question : fmt::format("{}; {}", over_first, question);
  }
  const int next = *std::ranges::max_element(
      others, {}, [&](int other) { return between(comparison, best, other).typical; });
  if (count == 2) {
    return fmt::format("{} is faster than {}: step time {}", comparison.label(best),
                       comparison.label(next), in_words(between(comparison, best, next)));
  }
  std::string text = fmt::format("{} is faster than every other placement: step time {} against {}",
                                 comparison.label(best), in_words(between(comparison, best, next)),
                                 comparison.label(next));
  if (next != first && best != first) {
    text += fmt::format(", which comes next, and {} against {}", in_words(to_first),
                        comparison.label(first));
  } else {
    text += ", which comes next";
  }
  return text;
}

}  // namespace

std::optional<int> fastest_of(const Comparison& comparison) {
  const int count = static_cast<int>(comparison.placements.size());
  for (int i = 0; count > 1 && i < count; ++i) {
    bool all = true;
    for (int other = 0; other < count; ++other) {
      all = all && (other == i || beats(comparison, i, other));
    }
    if (all) return i;
  }
  return {};
}

std::optional<std::string> faster_sentence(const std::string& placement,
                                           const std::string& reference, double typical,
                                           std::optional<double> low, std::optional<double> high) {
  if (!low || !high || (*low <= 0 && *high >= 0)) return {};
  Difference d;
  d.typical = typical;
  d.low = low;
  d.high = high;
  if (*high < 0) {
    return fmt::format("{} is faster than {}: step time {}", placement, reference, in_words(d));
  }
  d.typical = turned(typical);
  d.low = turned(*high);
  d.high = turned(*low);
  return fmt::format("{} is faster than {}: step time {}", reference, placement, in_words(d));
}

Verdict verdict_of(const RunReader& file, const Comparison& comparison) {
  const CheckRecord& check = file.end().check;
  if (file.completed() && check.mode != "none" && !check.passed) {
    return {{}, "no verdict: outputs are wrong, so times mean nothing"};
  }
  if (comparison.placements.size() < 2) {
    return {{}, "one placement was measured: to compare, name several with --placements"};
  }
  if (file.info().shape.ranks == 1) {
    return {{},
            "no verdict: 1 rank holds every expert under each placement, so the rows differ by "
            "noise alone: start several ranks to compare placements"};
  }
  const auto fastest = fastest_of(comparison);
  return {fastest, (file.completed() ? "" : "the run is unfinished; so far ") +
                       sentence_of(file, comparison, fastest)};
}

}  // namespace gembench::inline report
