#include "harness/run/advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/statistics/block_change.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr double kMostSteps = 100;  // times as many: beyond, recording more is no advice

/// Steps before a block of the later half.
int steps_before(int steps, int blocks, int block) {
  const int judged = steps / 2;
  return steps - judged + block_begin(judged, blocks, block);
}

Trace block_of(const Trace& trace, int blocks, int block) {
  const int first = steps_before(trace.steps, blocks, block);
  return slice(trace, first, steps_before(trace.steps, blocks, block + 1) - first);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", std::abs(share) * 100);
}

/// "gem is predicted to take 6.1 % less time in the MoE layers than linear (95 % CI -7.2 .. -4.9
/// %)"
std::string finding(const AdvisedPlacement& one, const std::string& today) {
  return fmt::format(
      "{} is predicted to take {} {} time in the MoE layers than {} (95 % CI {:+.1f} .. {:+.1f} %)",
      one.name, percent(one.change.typical), one.change.typical > 0 ? "more" : "less", today,
      *one.change.low * 100, *one.change.high * 100);
}

/// Half of the interval of the logarithm.
double half_width(const Difference& change) {
  return (std::log1p(*change.high) - std::log1p(*change.low)) / 2;
}

/// What is missing to decide on which side of the least gain a strategy lies, if it stays as it
/// looks. More steps make the interval narrower as far as it does not come from the speeds.
std::string missing_evidence(const AdvisedPlacement& one, const AdviceQuestion& question) {
  const double distance = std::log1p(one.change.typical) - std::log1p(-question.least_gain);
  const double of_speeds = std::pow(half_width(one.change), 2) - std::pow(one.half_by_steps, 2);
  const double left = distance * distance - std::max(of_speeds, 0.0);
  if (left <= 0 && of_speeds > std::pow(one.half_by_steps, 2))
    return fmt::format(
        "the speeds are not known well enough to tell whether it saves {} (--min-gain); profile "
        "the ranks longer, or give older profiles (--history)",
        percent(question.least_gain));
  const double times = left > 0 ? std::pow(one.half_by_steps, 2) / left : HUGE_VAL;
  if (!(times < kMostSteps))
    return fmt::format(
        "the loads vary too much to tell whether it saves {} (--min-gain); record many more, of "
        "different requests",
        percent(question.least_gain));
  const std::int64_t requests = question.trace.requests;
  return fmt::format("record about {:.0f} {}",
                     std::ceil(std::max(times, 1.5)) *
                         static_cast<double>(requests > 0 ? requests : question.trace.steps),
                     requests > 0 ? "requests" : "steps") +
         (of_speeds > 0 ? ", or profile the speeds longer" : "");
}

void judge_blocks(const AdviceQuestion& question, Advice& advice) {
  const auto& names = question.names;
  std::vector<std::vector<double>> ratios(names.size() - 1);
  std::vector<std::vector<double>> by_error(  // [strategy][error] mean over blocks
      ratios.size(), std::vector<double>(static_cast<std::size_t>(question.errors), 0));
  for (int plan = 0; plan < advice.plans; ++plan) {
    const int first = block_begin(advice.blocks, advice.plans, plan);
    const int end = block_begin(advice.blocks, advice.plans, plan + 1);
    const Trace before =
        slice(question.trace, 0, steps_before(question.trace.steps, advice.blocks, first));
    const Placement today = question.place(names[0], before, plan);
    for (std::size_t i = 0; i < ratios.size(); ++i) {
      const Placement then = question.place(names[i + 1], before, plan);
      for (int block = first; block < end; ++block) {
        const Trace judged = block_of(question.trace, advice.blocks, block);
        const auto ratio = [&](std::optional<int> error) {
          const double old_time = question.seconds(today, judged, plan, error);
          const double new_time = question.seconds(then, judged, plan, error);
          return old_time > 0 && new_time > 0 ? std::log(new_time / old_time) : 0;
        };
        ratios[i].push_back(ratio({}));
        for (int error = 0; error < question.errors; ++error)
          by_error[i][static_cast<std::size_t>(error)] += ratio(error) / advice.blocks;
      }
    }
  }
  const auto together = static_cast<int>(ratios.size());
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    advice.placements.push_back(
        {names[i + 1], block_change(ratios[i], advice.plans, together),
         static_cast<int>(std::ranges::count_if(ratios[i], [](double r) { return r < 0; }))});
    auto& one = advice.placements.back();
    one.half_by_steps = half_width(one.change);
    widen(by_error[i], together, one.change);
  }
}

void decide(const AdviceQuestion& question, Advice& advice) {
  const auto least = [](const auto& one) { return one.change.typical; };
  const auto sure = [&](const auto& one) {
    return *one.change.high < 0 && *one.change.high <= -question.least_gain;
  };
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
    advice.sentence = *best->change.low == 0 && *best->change.high == 0
                          ? fmt::format("nothing is predicted to take less time than {}", today)
                          : fmt::format("nothing saves {}: at best {}",
                                        percent(question.least_gain), finding(*best, today));
  } else {
    for (const auto& row : rows)
      if (open(row) && (!open(*best) || least(row) < least(*best))) best = &row;
    advice.sentence =
        fmt::format("{}; {}", finding(*best, today), missing_evidence(*best, question));
  }
  advice.best = best->name;
}

void learn(const AdviceQuestion& question, Advice& advice) {
  const int steps = question.trace.steps, judged = steps / 4, early = steps - judged;
  const Trace planned = slice(question.trace, 0, early);
  const Trace last = slice(question.trace, early, judged);
  advice.learning = learning_curve(
      {planned, last, advice.best, question.names[0],
       [&](const std::string& name, const Trace& on) { return question.place(name, on, 0); },
       [&](const Placement& placement, const Trace& on) {
         return question.seconds(placement, on, 0, {});
       }});
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
    advice.plans = std::min(kAdvicePlans, advice.blocks);
    advice.block_steps = steps / 2 / advice.blocks;
    judge_blocks(question, advice);
    decide(question, advice);
    learn(question, advice);
  }
  advice.sentence = fmt::format("{}: {}", name_of(advice.word), advice.sentence);
  return advice;
}

}  // namespace gembench::inline run
