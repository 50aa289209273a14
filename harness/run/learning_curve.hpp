#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline run {

/// What a strategy gains by more steps to plan on. Ours.
struct LearningQuestion {
  const Trace& planned;  ///< steps to plan on
  const Trace& judged;   ///< others
  std::string name;      ///< the strategy
  std::string against;   ///< planned on all steps, whatever the strategy gets
  std::function<Placement(const std::string& name, const Trace& steps)> place;
  std::function<double(const Placement& placement, const Trace& steps)> seconds;  ///< predicted
};

/// Planned on each of the quarters, halves, ... of the steps, and judged on the others.
struct LearningPoint {
  int steps = 0;      ///< planned on, at least
  double change = 0;  ///< of predicted time, against LearningQuestion::against; mean over the parts
};

struct LearningCurve {
  std::string name, against;
  int judged_steps = 0;
  std::vector<LearningPoint> points;  ///< quarters, halves, all
  std::string finding;                ///< a sentence without a full stop
};

/// The curve and what it says: recording more would help if all steps gave a faster plan than half
/// of them, by more than chance and kLearningGain; it is flat from N steps if no more give one that
/// is faster by kLearningGain. Plans on as many steps as there are, three times. Usage error for
/// fewer than 4 planned steps or none to judge.
[[nodiscard]] LearningCurve learning_curve(const LearningQuestion& question);

/// Usage error for too few steps of either kind.
void require_learnable(int planned_steps, int judged_steps);

inline constexpr double kLearningGain = 0.002;

/// Different labels of tasks; 0: not known.
[[nodiscard]] std::size_t tasks_of(const Trace& trace);
/// "independent requests: 703, of 3 tasks": what a plan rests on, whatever the number of steps. 0:
/// not known.
[[nodiscard]] std::string basis_of(std::int64_t requests, std::size_t tasks);
/// The curve in one line, then the finding.
[[nodiscard]] std::string to_text(const LearningCurve& curve);

}  // namespace gembench::inline run
