#pragma once

#include <optional>
#include <string>
#include <vector>

#include "results/run_reader.hpp"

namespace gembench {

/// A relative difference with a 95 % interval; all three are fractions (-0.05 = 5 % less).
struct Difference {
  double mean = 0;
  std::optional<double> low, high;  ///< none with fewer than two blocks
  int blocks = 0;
};

/// One row of the comparison. Seconds of the run's clock; per step, all layers together.
struct PlacementSummary {
  std::string label;
  int steps = 0;  ///< measured
  double step_mean = 0, step_p50 = 0, step_p90 = 0, step_p99 = 0;
  double wait_mean = 0;   ///< barrier wait of a rank, mean over ranks
  double wait_share = 0;  ///< of step_mean
  int straggler = 0;      ///< rank that arrives last most often
  double straggler_share = 0;
  std::vector<double> last_share;  ///< [rank] share of (step, layer) in which it arrives last
  double aggregate_imbalance = 0;  ///< mean over layers of max/mean over ranks of summed tokens
  double step_imbalance = 0;       ///< mean over steps and layers of max/mean over ranks
  double predicted = 0;            ///< time to the barriers by the profile: what planning looked at
  double measured = 0;  ///< the same as measured: sum over layers of the slowest route + expert
  double moved_seconds = 0;  ///< mean of a switch to this placement
  double moved_bytes = 0;
  Difference against_first;  ///< of step time; zero for the first
};

/// Everything the table, CSV and JSON show.
struct Comparison {
  std::vector<PlacementSummary> placements;
};

/// Reduces a file step by step: memory does not grow with the number of steps. `non_moe_time`
/// seconds are added to every layer of step time.
[[nodiscard]] Comparison compare(const RunReader& file, double non_moe_time);

/// Paired block bootstrap of sum(b) / sum(a) - 1, where a and b are step times of the same steps
/// and `block` says which steps ran together: whole blocks are drawn with replacement (10,000
/// times, fixed seed). With few blocks percentile intervals are too narrow; they are widened as in
/// Hesterberg 2015, "What Teachers Should Know About the Bootstrap" (expanded percentile interval).
/// Steps with NaN or block -1 in either are left out.
[[nodiscard]] Difference paired_difference(const std::vector<double>& a,
                                           const std::vector<double>& b,
                                           const std::vector<std::int64_t>& block);

}  // namespace gembench
