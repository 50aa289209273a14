#include "placement/score.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "placement/objective.hpp"

namespace gembench {

double imbalance(const std::vector<std::int64_t>& loads) {
  if (loads.empty()) return 1;
  const auto sum = std::accumulate(loads.begin(), loads.end(), std::int64_t{0});
  if (sum == 0) return 1;
  const auto most = *std::max_element(loads.begin(), loads.end());
  return static_cast<double>(most) * static_cast<double>(loads.size()) / static_cast<double>(sum);
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const auto at = std::clamp(q, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const auto above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (at - std::floor(at));
}

Score score(const Trace& trace, const Placement& placement, const CostModel& cost) {
  const auto layer_seconds = predicted_layer_seconds(trace, placement, cost);  // checks the shapes
  const auto loads = rank_loads(trace, placement);
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  const auto layers = static_cast<std::size_t>(trace.layers);
  const auto steps = static_cast<std::size_t>(trace.steps);
  Score result;
  if (layer_seconds.empty()) return result;

  std::vector<double> step_seconds(steps, 0);
  std::vector<std::int64_t> summed(layers * ranks, 0);  // [layer][rank] over all steps
  std::vector<std::int64_t> slowest(ranks, 0);          // how often a rank is it
  std::vector<std::int64_t> row(ranks);
  for (std::size_t i = 0; i < layer_seconds.size(); ++i) {
    step_seconds[i / layers] += layer_seconds[i];
    std::copy_n(loads.begin() + static_cast<std::ptrdiff_t>(i * ranks), ranks, row.begin());
    result.step_imbalance += imbalance(row);
    std::size_t last = 0;
    double longest = -1;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      summed[i % layers * ranks + rank] += row[rank];
      const auto seconds = cost.seconds(static_cast<int>(rank), row[rank]);
      if (seconds > longest) {
        longest = seconds;
        last = rank;
      }
    }
    ++slowest[last];
  }
  result.step_imbalance /= static_cast<double>(layer_seconds.size());
  for (std::size_t layer = 0; layer < layers; ++layer) {
    std::copy_n(summed.begin() + static_cast<std::ptrdiff_t>(layer * ranks), ranks, row.begin());
    result.aggregate_imbalance += imbalance(row) / static_cast<double>(layers);
  }
  const auto most = std::max_element(slowest.begin(), slowest.end());
  result.straggler = static_cast<int>(most - slowest.begin());
  result.straggler_share = static_cast<double>(*most) / static_cast<double>(layer_seconds.size());

  const auto total = std::accumulate(layer_seconds.begin(), layer_seconds.end(), 0.0);
  result.step_mean = total / static_cast<double>(steps);
  result.bound = lower_bound(trace, cost) / static_cast<double>(steps);
  result.gap = result.bound > 0 ? result.step_mean / result.bound - 1 : 0;
  result.step_p50 = quantile(step_seconds, 0.5);
  result.step_p99 = quantile(step_seconds, 0.99);
  return result;
}

}  // namespace gembench
