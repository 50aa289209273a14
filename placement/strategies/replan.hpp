#pragma once

#include <cstdint>
#include <vector>

#include "placement/base/plan_watch.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/search/search_kernels.hpp"
#include "placement/speeds/profile.hpp"
#include "placement/strategies/layer_cut.hpp"

namespace gembench::inline strategies {

/// How much an existing placement may be changed.
struct ReplanOptions {
  int max_moves = 16;       ///< moved experts per layer
  double horizon = 1000;    ///< steps within which a move must save what it costs
  double move_seconds = 0;  ///< to move one expert's weights; 0 = no cost, or unknown
  SplitSpec split = {};     ///< how tokens are split among replicas
  int threads = 0;          ///< layers at once; 0 = one per CPU
  Isa isa = best_isa();
  PlanWatch watch = {};  ///< receives the progress; may end planning
};

/// One swap, its gain and its cost.
struct ExpertSwap : Exchanged {
  int layer = 0;
  double gain = 0;  ///< s per step it saves, predicted
  double cost = 0;  ///< s its weights take to move, once

  [[nodiscard]] int moves() const { return other < 0 ? 1 : 2; }
};

/// A rebalanced placement and its gain.
struct Replan {
  Placement placement;  ///< the current one with the swaps made; all else in the same slots
  std::vector<ExpertSwap> swaps;  ///< layer by layer, in the order in which they were found
  double before = 0;              ///< s per step, predicted, of the current placement
  double after = 0;               ///< the same of the new one

  [[nodiscard]] double cost() const;  ///< s that all moves take
};

/// Rebalances a placement for the current `trace` and `cost` instead of planning from scratch
/// (ours; the paper plans once). Per layer it repeats the swap that saves most, until the moves are
/// used up or the next swap does not save its cost within the horizon; so nothing changes if
/// nothing pays. Replicas keep their number. Swaps are found as if every replica had its even share
/// of the tokens; their gain is computed with the actual split, remainders included, and the first
/// swap without gain ends the layer. Depends only on its arguments, for any number of threads.
/// Usage errors as predicted_layer_seconds, and for a trace without steps.
[[nodiscard]] Replan replan(const Placement& from, const Trace& trace, const CostModel& cost,
                            const ReplanOptions& options);

}  // namespace gembench::inline strategies
