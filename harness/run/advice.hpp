#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run/learning_curve.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline run {

/// Whether another placement than today's would pay, asked of recorded loads. Ours.
struct AdviceQuestion {
  const Trace& trace;
  std::vector<std::string> names;  ///< strategies; the first is what runs today
  double least_gain = 0.01;        ///< share of step time that a change must save to pay
  /// Plans on steps, for the speeds that are known at the time of this plan.
  std::function<Placement(const std::string& name, const Trace& steps, int plan)> place;
  /// Predicted seconds of steps judged after that plan: under the known speeds, or with one of
  /// `errors` errors that these may have, the same in all blocks.
  std::function<double(const Placement& placement, const Trace& steps, int plan,
                       std::optional<int> error)>
      seconds;
  int errors = 0;
};

enum class AdviceWord { recommended, not_recommended, insufficient_evidence };
/// "recommended", "not recommended", "insufficient evidence".
[[nodiscard]] std::string_view name_of(AdviceWord word);

/// One strategy against today's, over blocks of steps that it was not planned on.
struct AdvisedPlacement {
  std::string name;
  Difference change;         ///< of predicted step time, against today's
  int better = 0;            ///< blocks in which it takes less time
  double half_by_steps = 0;  ///< of the interval's logarithm: half of it, if the speeds are exact
};

struct Advice {
  AdviceWord word = AdviceWord::insufficient_evidence;
  std::string sentence;  ///< that begins with the word, without a full stop
  std::string best;      ///< the strategy that the sentence speaks of; empty: none
  std::vector<AdvisedPlacement> placements;
  /// Of the best strategy, planned on the earlier three quarters and judged on the last one.
  LearningCurve learning;
  int blocks = 0;       ///< that were judged
  int plans = 0;        ///< of every strategy, each for as many successive blocks
  int block_steps = 0;  ///< of the smallest block
};

/// Cuts the later half of the steps into blocks, no more than it has independent requests if these
/// are known, and judges every block under plans made on all steps before it. What errors of the
/// speeds do to the result widens its interval, and is not averaged over blocks, since a machine
/// has one of them. `recommended`: some strategy's interval lies beyond the least gain; `not
/// recommended`: all end before it; else the evidence is insufficient, and the sentence says how
/// much more to record. The intervals hold together (95 %) and allow for successive blocks that are
/// alike.
[[nodiscard]] Advice advise(const AdviceQuestion& question);

inline constexpr int kAdvicePlans = 12, kAdviceBlocks = 4 * kAdvicePlans;
/// Fewer steps give no interval, nor do fewer independent requests: in the later half are too few
/// blocks then.
inline constexpr int kLeastAdviceSteps = 2 * kLeastBlocks;

}  // namespace gembench::inline run
