#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "placement/cost/bound.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// The score of a placement on a trace. All times are predicted by the cost model.
struct Score {
  double step_mean = 0;  ///< s, mean over steps of the sum over layers
  double step_p50 = 0;   ///< s
  double step_p99 = 0;   ///< s
  double bound =
      0;           ///< s, lower bound of step_mean for any placement with the same number of slots
  double gap = 0;  ///< step_mean / bound - 1; NaN where the bound is 0 and the time is not
  PerfectBalance balance;          ///< s per step: what no placement is needed for
  double aggregate_imbalance = 0;  ///< mean over layers of max/mean over ranks of summed tokens
  double step_imbalance = 0;       ///< mean over steps and layers of max/mean over ranks of tokens
  int straggler = 0;               ///< rank that is slowest most often
  double straggler_share = 0;      ///< share of (step, layer) in which it is the slowest
  /// s per step, mean: time lost at the barriers, per layer the slowest rank's time minus the mean
  /// over ranks.
  double straggle = 0;
  /// s per step: the same if all ranks had their average speed (equal_speeds), that is, the effect
  /// of load alone. The attribution is ours.
  double straggle_load = 0;
  /// s per step: straggle - straggle_load. Below zero where a placement loads ranks unevenly to
  /// make up for their speeds.
  double straggle_speed = 0;
  std::int64_t duplicates = 0;  ///< replicas beyond the first, over all layers
  std::int64_t moves = 0;       ///< count_moves from the current placement; 0 if none was given
  std::vector<double> step_seconds = {};  ///< [step] s, of which `step_mean` is the mean
};

/// Judges a placement, with replicas (whose tokens `split` divides) or without. Reads the trace row
/// by row: memory grows with layers * ranks, and with steps by a few numbers each. Usage error for
/// a trace without steps, ranks without speed and shapes that do not match; `from` as in
/// count_moves.
[[nodiscard]] Score score(const Trace& trace, const Placement& placement, const CostModel& cost,
                          const Placement* from = nullptr, const SplitSpec& split = {});

/// Tokens of every slot in one step and layer of the trace: `slots` [rank][slot], overwritten.
/// Called by several threads, for every step and layer once.
using SlotLoads = std::function<void(int step, int layer, std::span<std::int64_t> slots)>;

/// The same where `loads` says what the slots of `placement` compute, whatever experts they hold in
/// that step. Bound, copies and moves are those of `placement`.
[[nodiscard]] Score score(const Trace& trace, const Placement& placement, const CostModel& cost,
                          const Placement* from, const SlotLoads& loads);

/// Steps to plan on, and the later ones to judge on.
struct HeldOut {
  Trace plan;
  Trace judged;
};

/// The first `share` of the steps (rounded, at least one) to plan on; the rest, at least one, is
/// held out. Usage error unless 0 < share < 1 and there are two steps.
[[nodiscard]] HeldOut hold_out(const Trace& trace, double share);

}  // namespace gembench::inline cost
