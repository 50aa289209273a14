#include "harness/run/learning_curve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/statistics/block_change.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr int kParts[] = {4, 2, 1};
constexpr int kMostBlocks = 24;  // of judged steps, successive ones

/// Part `at` of `parts` of the steps.
Trace part_of(const Trace& trace, int parts, int at) {
  const int first = block_begin(trace.steps, parts, at);
  return slice(trace, first, block_begin(trace.steps, parts, at + 1) - first);
}

std::vector<double> seconds_of(const LearningQuestion& question, const Placement& placement,
                               const std::vector<Trace>& blocks) {
  std::vector<double> seconds;
  for (const Trace& block : blocks) seconds.push_back(question.seconds(placement, block));
  return seconds;
}

/// Of all steps, against part of them; a share, with its interval.
Difference of_more(const std::vector<double>& part, const std::vector<double>& all) {
  std::vector<double> ratios;
  for (std::size_t block = 0; block < all.size(); ++block)
    ratios.push_back(part[block] > 0 && all[block] > 0 ? std::log(all[block] / part[block]) : 0);
  return typical_difference(ratios);
}

std::string range_text(const Difference& change) {
  return fmt::format("{:+.1f} % (95 % CI {:+.1f} .. {:+.1f} %)", change.typical * 100,
                     *change.low * 100, *change.high * 100);
}

/// `seconds` [point][block].
std::string finding_of(const LearningCurve& curve,
                       const std::vector<std::vector<double>>& seconds) {
  const auto& all = seconds.back();
  const Difference doubled = of_more(seconds[seconds.size() - 2], all);
  if (!doubled.low)
    return fmt::format("{} steps to judge on do not say whether more recording would help",
                       curve.judged_steps);
  if (*doubled.high < 0 && doubled.typical <= -kLearningGain)
    return fmt::format(
        "more recording would still help: the last doubling of the steps changed the "
        "time by {}",
        range_text(doubled));
  if (*doubled.low <= -kLearningGain && doubled.typical <= -kLearningGain)
    return fmt::format(
        "whether more recording would help is open: the last doubling of the steps "
        "changed the time by {}",
        range_text(doubled));
  std::size_t flat = seconds.size() - 2;
  while (flat > 0 && of_more(seconds[flat - 1], all).typical > -kLearningGain) --flat;
  return fmt::format("the curve is flat from {} steps", curve.points[flat].steps);
}

}  // namespace

void require_learnable(int planned_steps, int judged_steps) {
  if (planned_steps < kParts[0] || judged_steps < 1)
    throw usage_error(
        fmt::format("{} steps to plan on and {} others to judge on give no learning curve: record "
                    "at least {} and 1",
                    planned_steps, judged_steps, kParts[0]));
}

LearningCurve learning_curve(const LearningQuestion& question) {
  require_learnable(question.planned.steps, question.judged.steps);
  LearningCurve curve{question.name, question.against, question.judged.steps, {}, ""};
  const int count = std::min(kMostBlocks, question.judged.steps);
  std::vector<Trace> blocks;
  for (int block = 0; block < count; ++block)
    blocks.push_back(part_of(question.judged, count, block));
  const auto sum_of = [](const std::vector<double>& seconds) {
    double sum = 0;
    for (const double one : seconds) sum += one;
    return sum;
  };
  const double against =
      sum_of(seconds_of(question, question.place(question.against, question.planned), blocks));
  std::vector<std::vector<double>> seconds;
  for (const int parts : kParts) {
    std::vector<double> mean(blocks.size(), 0);
    for (int part = 0; part < parts; ++part) {
      const Placement placement =
          question.place(question.name, part_of(question.planned, parts, part));
      const auto found = seconds_of(question, placement, blocks);
      for (std::size_t block = 0; block < mean.size(); ++block) mean[block] += found[block] / parts;
    }
    curve.points.push_back(
        {question.planned.steps / parts, against > 0 ? sum_of(mean) / against - 1 : 0});
    seconds.push_back(std::move(mean));
  }
  curve.finding = finding_of(curve, seconds);
  return curve;
}

std::size_t tasks_of(const Trace& trace) {
  return std::set<std::int32_t>(trace.task.begin(), trace.task.end()).size();
}

std::string basis_of(std::int64_t requests, std::size_t tasks) {
  const auto of_tasks =
      tasks > 0 ? fmt::format(", of {} task{}", tasks, tasks == 1 ? "" : "s") : "";
  return requests > 0 ? fmt::format("independent requests: {}{}", requests, of_tasks)
                      : fmt::format("independent requests: not known{}", of_tasks);
}

std::string to_text(const LearningCurve& curve) {
  std::string text =
      fmt::format("predicted step time against {} on {} steps not planned on, {} planned on ",
                  curve.against, curve.judged_steps, curve.name);
  for (const auto& [steps, change] : curve.points)
    text += fmt::format("{}{} steps: {:+.2f} %", steps == curve.points[0].steps ? "" : ", ", steps,
                        change * 100);
  return text + "; " + curve.finding;
}

}  // namespace gembench::inline run
