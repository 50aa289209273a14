#pragma once

#include <string>
#include <vector>

#include "harness/statistics/interval.hpp"
#include "harness/statistics/summary_interval.hpp"
#include "results/run_reader.hpp"

namespace gembench::inline report {

/// What was done, per second and per step; NaN = the clock or an unfinished file cannot say.
struct Rates {
  double tokens = 0;            ///< tokens/s: a step's tokens by its time
  double expert_flops = 0;      ///< FLOP/s of a rank in its expert phase, shared experts included
  double active_experts = 0;    ///< of a rank in a layer, mean
  double distinct_ranks = 0;    ///< that a token is sent to in a layer, its own included, mean; NaN
                                ///< of hierarchical dispatch
  double dispatch = 0;          ///< byte/s of a rank: payload to other ranks by dispatch time
  double combine = 0;           ///< byte/s of a rank: the same payload back by combine time
  double payload_bytes = 0;     ///< dispatched between ranks in a step
  double inter_node_bytes = 0;  ///< of payload_bytes: between nodes; NaN in files before 2.2.0
  double metadata_bytes = 0;    ///< dispatched between ranks in a step
};

/// A change of a placement that adapts.
struct PlacementChange {
  int after_step = 0;  ///< last measured step before it
  ReplanRecord what;
};

/// Of the times and shares in PlacementSummary, by name. None where steps are too few.
struct SummaryIntervals {
  std::optional<Interval> step_mean, step_p50, step_p90, step_p99;
  std::optional<Interval> wait_mean, wait_share;
  std::optional<Interval> straggler_share;
};

/// One row of the comparison. Seconds of the run's clock; per step, all layers together.
struct PlacementSummary {
  std::string label;
  int steps = 0;  ///< measured
  double step_mean = 0, step_p50 = 0, step_p90 = 0, step_p99 = 0;
  double wait_mean = 0;   ///< barrier wait of a rank, mean over ranks
  double wait_share = 0;  ///< of step_mean
  int straggler = 0;      ///< rank that arrives last most often; -1 = arrivals were not read
  double straggler_share = 0;
  std::vector<double> last_share;  ///< [rank] share of (step, layer) in which it arrives last
  double aggregate_imbalance = 0;  ///< mean over layers of max/mean over ranks of summed tokens
  double step_imbalance = 0;       ///< mean over steps and layers of max/mean over ranks
  // Time to the barriers: route + experts of the slowest rank, summed over layers.
  double predicted = 0;             ///< by the profile and the cost model `tokens`
  double predicted_by_experts = 0;  ///< by the cost model `experts`
  double measured = 0;
  double moved_seconds = 0;  ///< mean of a switch to this placement
  double moved_bytes = 0;
  std::vector<PlacementChange> changes;
  double replicas = 0;  ///< of a layer beyond the first of each expert, mean; at the beginning
  Rates rates;
  SummaryIntervals intervals;
};

/// A placement's step time against another's, over the same steps.
struct PairDifference {
  int placement = 0, reference = 0;
  Difference step_time;
};

/// Everything the table, CSV and JSON show.
struct Comparison {
  std::vector<PlacementSummary> placements;
  std::vector<PairDifference> pairs;  ///< ascending by placement; intervals hold together
  /// [rank] how much longer the expert phase took after the run than in its profile: median over
  /// loads of after / before - 1. Empty when it was not taken again.
  std::vector<double> drift;

  [[nodiscard]] const std::string& label(int placement) const {
    return placements[static_cast<std::size_t>(placement)].label;
  }
  /// The placement's first pair; null for what is compared with nothing.
  [[nodiscard]] const PairDifference* pair_of(int placement) const;
};

/// compare's --against: every placement with every other.
inline constexpr const char* kAgainstAll = "all";

/// Reduces a file step by step: memory grows with the number of steps only by their sums.
/// `non_moe_time` seconds are added to every layer of step time. Placements are compared with the
/// one labelled `against`, the first where it is empty, or each other (kAgainstAll); usage error
/// where there is no such one. Intervals hold together over `pairs`.
[[nodiscard]] Comparison compare(const RunReader& file, double non_moe_time,
                                 const std::string& against = "");

}  // namespace gembench::inline report
