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

/// How much a placement in force may be changed.
struct ReplanOptions {
  int max_moves = 16;       ///< experts whose weights travel, a layer
  double horizon = 1000;    ///< steps in which a move must earn what it costs
  double move_seconds = 0;  ///< that moving one expert's weights takes; 0 = nothing, or unknown
  SplitSpec split = {};     ///< how tokens are split among replicas
  int threads = 0;          ///< layers at once; 0 = one per CPU
  Isa isa = best_isa();
  PlanWatch watch = {};  ///< told how far it is; may end it
};

/// One exchange and what it is worth.
struct ExpertSwap : Exchanged {
  int layer = 0;
  double gain = 0;  ///< s per step it saves, predicted
  double cost = 0;  ///< s its weights take to move, once

  [[nodiscard]] int moves() const { return other < 0 ? 1 : 2; }
};

/// A placement rebalanced, and what that is worth.
struct Replan {
  Placement placement;            ///< the one in force, exchanges made, in the same slots otherwise
  std::vector<ExpertSwap> swaps;  ///< layer by layer, in the order in which they were found
  double before = 0;              ///< s per step, predicted, of the placement in force
  double after = 0;               ///< the same of the new one

  [[nodiscard]] double cost() const;  ///< s that all moves take
};

/// Rebalances a placement for what `trace` and `cost` say now, instead of planning from scratch
/// (ours; the paper plans once). Per layer the swap that saves most, again and again, until the
/// moves are used up or the next does not earn its cost within the horizon; so nothing changes
/// where nothing pays. Replicas keep their number. Swaps are found as if every replica had its even
/// share of the tokens; what they gain is counted by the split in force, remainders included, and
/// the first that gains nothing ends the layer. Depends on its arguments alone, whatever the
/// threads. Usage errors as predicted_layer_seconds, and for a trace without steps.
[[nodiscard]] Replan replan(const Placement& from, const Trace& trace, const CostModel& cost,
                            const ReplanOptions& options);

}  // namespace gembench::inline strategies
