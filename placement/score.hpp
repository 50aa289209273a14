#pragma once

#include <cstdint>
#include <vector>

#include "placement/placement.hpp"
#include "placement/profile.hpp"
#include "placement/trace.hpp"

namespace gembench {

/// What a placement is worth on a trace. All times are predicted by the cost model.
struct Score {
  double step_mean = 0;  ///< s, mean over steps of the sum over layers
  double step_p50 = 0;   ///< s
  double step_p99 = 0;   ///< s
  double bound = 0;      ///< s, lower bound of step_mean for any placement (see lower_bound)
  double gap = 0;        ///< step_mean / bound - 1
  double aggregate_imbalance = 0;  ///< mean over layers of max/mean over ranks of summed tokens
  double step_imbalance = 0;       ///< mean over steps and layers of max/mean over ranks of tokens
  int straggler = 0;               ///< rank that is slowest most often
  double straggler_share = 0;      ///< share of (step, layer) in which it is
};

[[nodiscard]] Score score(const Trace& trace, const Placement& placement, const CostModel& cost);

/// Max over mean; 1 when all are zero. The one definition of imbalance used everywhere.
[[nodiscard]] double imbalance(const std::vector<std::int64_t>& loads);

/// Value at quantile q in [0, 1] by linear interpolation between order statistics (NumPy's
/// default). `values` need not be sorted. NaN for no values.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace gembench
