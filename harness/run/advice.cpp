#include "harness/run/advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr double kMostSteps = 100;  // times as many: beyond, recording more is no advice

/// The block of the later half of the steps with this number.
struct Block {
  int first = 0, steps = 0;
};
Block block_of(int steps, int blocks, int block) {
  const int judged = steps / 2;
  const auto begin = [&](int b) {
    return steps - judged + static_cast<int>(std::int64_t{judged} * b / blocks);
  };
  return {begin(block), begin(block + 1) - begin(block)};
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", std::abs(share) * 100);
}

/// "gem takes 6.1 % less time in the MoE layers than linear (95 % CI -7.2 .. -4.9 %)"
std::string finding(const AdvisedPlacement& one, const std::string& today) {
  return fmt::format("{} takes {} {} time in the MoE layers than {} (95 % CI {:+.1f} .. {:+.1f} %)",
                     one.name, percent(one.change.typical),
                     one.change.typical > 0 ? "more" : "less", today, *one.change.low * 100,
                     *one.change.high * 100);
}

/// How many times as many steps decide on which side of the least gain a strategy lies, if it
/// stays as it looks.
double steps_needed(const AdvisedPlacement& one, double least_gain) {
  const double limit = std::log1p(-least_gain), typical = std::log1p(one.change.typical);
  const double half = (std::log1p(*one.change.high) - std::log1p(*one.change.low)) / 2;
  return std::pow(half / (typical - limit), 2);
}

std::string more_steps(const AdvisedPlacement& one, const AdviceQuestion& question) {
  const double times = steps_needed(one, question.least_gain);
  if (!(times < kMostSteps))
    return fmt::format("it saves about {}, the least that pays (--min-gain)",
                       percent(question.least_gain));
  return fmt::format("record about {:.0f} steps",
                     std::ceil(std::max(times, 1.5)) * question.trace.steps);
}

void judge_blocks(const AdviceQuestion& question, Advice& advice) {
  const auto& names = question.names;
  std::vector<std::vector<double>> ratios(names.size() - 1);
  for (int b = 0; b < advice.blocks; ++b) {
    const auto [first, count] = block_of(question.trace.steps, advice.blocks, b);
    const Trace before = slice(question.trace, 0, first);
    const Trace judged = slice(question.trace, first, count);
    const double today = question.seconds(question.place(names[0], before, b), judged, b);
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
      const double then = question.seconds(question.place(names[i + 1], before, b), judged, b);
      ratios[i].push_back(today > 0 && then > 0 ? std::log(then / today) : 0);
    }
  }
  for (std::size_t i = 0; i < ratios.size(); ++i)
    advice.placements.push_back(
        {names[i + 1], typical_difference(ratios[i], static_cast<int>(ratios.size())),
         static_cast<int>(std::ranges::count_if(ratios[i], [](double r) { return r < 0; }))});
}

void decide(const AdviceQuestion& question, Advice& advice) {
  const auto least = [](const auto& one) { return one.change.typical; };
  const auto sure = [&](const auto& one) { return *one.change.high <= -question.least_gain; };
  const auto open = [&](const auto& one) { return *one.change.low < -question.least_gain; };
  auto& rows = advice.placements;
  const auto& today = question.names[0];
  const auto* best = &*std::ranges::min_element(rows, {}, least);
  if (std::ranges::any_of(rows, sure)) {
    for (const auto& row : rows)
      if (sure(row) && (!sure(*best) || least(row) < least(*best))) best = &row;
    advice.word = AdviceWord::recommended;
    advice.sentence = finding(*best, today);
  } else if (std::ranges::none_of(rows, open)) {
    advice.word = AdviceWord::not_recommended;
    advice.sentence = fmt::format("nothing saves {}: at best {}", percent(question.least_gain),
                                  finding(*best, today));
  } else {
    for (const auto& row : rows)
      if (open(row) && (!open(*best) || least(row) < least(*best))) best = &row;
    advice.sentence = fmt::format("{}; {}", finding(*best, today), more_steps(*best, question));
  }
  advice.best = best->name;
}

void learn(const AdviceQuestion& question, Advice& advice) {
  const int steps = question.trace.steps, judged = steps / 4, early = steps - judged;
  const Trace last = slice(question.trace, early, judged);
  for (const int share : {4, 2, 1}) {
    const int count = early / share;
    const Trace planned = slice(question.trace, early - count, count);
    const double today = question.seconds(question.place(question.names[0], planned, 0), last, 0);
    const double then = question.seconds(question.place(advice.best, planned, 0), last, 0);
    advice.learning.push_back({count, today > 0 ? then / today - 1 : 0});
  }
}

}  // namespace

std::string_view name_of(AdviceWord word) {
  return word == AdviceWord::recommended       ? "recommended"
         : word == AdviceWord::not_recommended ? "not recommended"
                                               : "insufficient evidence";
}

Advice advise(const AdviceQuestion& question) {
  validate(question.trace);
  if (question.names.size() < 2)
    throw usage_error("advice needs a strategy to compare with today's: name one in --strategies");
  const int steps = question.trace.steps;
  const std::int64_t requests = question.trace.requests;
  Advice advice;
  if (requests > 0 && requests < kLeastAdviceSteps) {
    advice.sentence = fmt::format(
        "the recording has {} request{}, and the next ones may choose other experts; record at "
        "least {}, better hundreds",
        requests, requests == 1 ? "" : "s", kLeastAdviceSteps);
  } else if (steps < kLeastAdviceSteps) {
    advice.sentence = fmt::format(
        "the recording has {}; record at least {}, better hundreds, of the requests you serve",
        steps == 1 ? "one step, which does not tell how loads vary"
                   : fmt::format("{} steps", steps),
        kLeastAdviceSteps);
  } else {
    const auto units = requests > 0 ? std::min<std::int64_t>(requests, steps) : steps;
    advice.blocks = static_cast<int>(std::min<std::int64_t>(kAdviceBlocks, units / 2));
    advice.block_steps = steps / 2 / advice.blocks;
    judge_blocks(question, advice);
    decide(question, advice);
    learn(question, advice);
  }
  advice.sentence = fmt::format("{}: {}", name_of(advice.word), advice.sentence);
  return advice;
}

}  // namespace gembench::inline run
