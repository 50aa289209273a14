#include "harness/report/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/report/conclusion.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/run_config.hpp"

namespace gembench::inline report {
namespace {

/// The same difference, seen from the other placement.
Difference turned(Difference d) {
  const auto other = [](double share) { return 1 / (1 + share) - 1; };
  d.mean = other(d.mean);
  d.typical = other(d.typical);
  std::swap(d.low, d.high);
  if (d.low) d.low = other(*d.low);
  if (d.high) d.high = other(*d.high);
  return d;
}

/// `placement` against `reference`, whichever way round it was compared.
Difference between_in(const std::vector<PairDifference>& pairs, int placement, int reference) {
  for (const PairDifference& pair : pairs) {
    if (pair.placement == placement && pair.reference == reference) return pair.step_time;
    if (pair.placement == reference && pair.reference == placement) return turned(pair.step_time);
  }
  return {};
}

Difference between(const Comparison& comparison, int placement, int reference) {
  return between_in(comparison.every_pair, placement, reference);
}

/// As it is printed above the verdict, where it is: of fewer pairs, whose intervals are narrower.
Difference printed(const Comparison& comparison, int placement, int reference) {
  const Difference d = between_in(comparison.pairs, placement, reference);
  return d.blocks > 0 ? d : between(comparison, placement, reference);
}

bool below_zero(const Difference& d) {
  return d.high && *d.high < 0;
}

/// "gem is faster than linear: step time ..."; `d` is `placement` against `other`.
std::string faster(const std::string& placement, const std::string& other, const Difference& d) {
  return fmt::format("{} is faster than {}: step time {}", placement, other, in_words(d));
}

std::string faster(const Comparison& comparison, int placement, int other) {
  return faster(comparison.label(placement), comparison.label(other),
                printed(comparison, placement, other));
}

bool beats(const Comparison& comparison, int placement, int other) {
  return below_zero(between(comparison, placement, other));
}

/// "no difference was found between gem and eplb: what would decide"; `best` looks fastest and
/// `rivals` may be as fast. Without an interval, none was looked for.
std::string open_question(const RunReader& file, const Comparison& comparison, int best,
                          const std::vector<int>& rivals) {
  std::string names = comparison.label(best);
  std::vector<Difference> open;
  for (const int rival : rivals) {
    names += (rival == rivals.back() ? " and " : ", ") + comparison.label(rival);
    open.push_back(between(comparison, best, rival));
  }
  const bool looked_for =
      std::ranges::all_of(open, [](const Difference& d) { return d.low.has_value(); });
  return fmt::format("{}: {}", undecided(names, looked_for), what_decides(file, comparison, open));
}

/// Of the placement that is faster than every other.
std::string fastest_sentence(const Comparison& comparison, int fastest, int first) {
  std::vector<int> others;
  for (int i = 0; i < static_cast<int>(comparison.placements.size()); ++i) {
    if (i != fastest) others.push_back(i);
  }
  if (others.size() == 1) return faster(comparison, fastest, others[0]);
  const int next = *std::ranges::max_element(
      others, {}, [&](int other) { return between(comparison, fastest, other).typical; });
  const std::string text = fmt::format("{} against {}, which comes next",
                                       faster(comparison.label(fastest), "every other placement",
                                              printed(comparison, fastest, next)),
                                       comparison.label(next));
  if (next == first || fastest == first) return text;
  return text + fmt::format(", and {} against {}", in_words(printed(comparison, fastest, first)),
                            comparison.label(first));
}

/// Of the one that looks fastest, which is not certain.
std::string open_sentence(const RunReader& file, const Comparison& comparison, int first) {
  const int best = looks_fastest(comparison, first);
  const bool beats_first = best != first && below_zero(printed(comparison, best, first));
  std::vector<int> rivals;
  for (int i = 0; i < static_cast<int>(comparison.placements.size()); ++i) {
    if (i != best && !beats(comparison, best, i) && !(beats_first && i == first)) {
      rivals.push_back(i);
    }
  }
  if (!beats_first) return open_question(file, comparison, best, rivals);
  const std::string known = faster(comparison, best, first);
  if (!rivals.empty()) {
    return fmt::format("{}; {}", known, open_question(file, comparison, best, rivals));
  }
  // So it is by the interval of this pair, but not by those of all pairs together.
  return fmt::format("{}; whether it is the fastest of all is open: {}", known,
                     what_decides(file, comparison, {between(comparison, best, first)}));
}

}  // namespace

std::string in_words(const Difference& d) {
  if (!d.low || !d.high) return percent_change(d.typical) + " (no interval)";
  return fmt::format("{} (95 % CI {} .. {})", percent_change(d.typical), percent_change(*d.low),
                     percent_change(*d.high));
}

int looks_fastest(const Comparison& comparison, int first) {
  int best = first;
  double least = 0;
  bool certain = false;
  for (int i = 0; i < static_cast<int>(comparison.placements.size()); ++i) {
    if (i == first) continue;
    const bool sure = below_zero(printed(comparison, i, first));
    const double typical = between(comparison, i, first).typical;
    if (!(typical < 0) || (certain && !sure)) continue;
    if (typical < least || (sure && !certain))
      std::tie(best, least, certain) = std::tuple(i, typical, sure);
  }
  return best;
}

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

std::string undecided(const std::string& names, bool looked_for) {
  return looked_for ? fmt::format("no difference was found between {}", names)
                    : fmt::format("too short to tell {} apart", names);
}

std::optional<std::string> faster_sentence(const std::string& placement,
                                           const std::string& reference, double typical,
                                           std::optional<double> low, std::optional<double> high) {
  if (!low || !high || (*low <= 0 && *high >= 0)) return {};
  Difference d;
  d.typical = typical;
  d.low = low;
  d.high = high;
  return *high < 0 ? faster(placement, reference, d) : faster(reference, placement, turned(d));
}

bool outputs_are_wrong(const RunReader& file) {
  const CheckRecord& check = file.end().check;
  return file.completed() && check.mode != "none" && !check.passed;
}

Verdict verdict_of(const RunReader& file, const Comparison& comparison) {
  if (outputs_are_wrong(file)) {
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
  const int first = comparison.pairs.empty() ? 0 : comparison.pairs.front().reference;
  const bool in_sample = planned_in_sample(file.info());
  return {in_sample ? std::nullopt : fastest,
          fmt::format("{}{}{}", in_sample ? kInSample : "",
                      file.completed() ? "" : "the run is unfinished; so far ",
                      fastest ? fastest_sentence(comparison, *fastest, first)
                              : open_sentence(file, comparison, first))};
}

}  // namespace gembench::inline report
