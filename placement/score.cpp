#include "placement/score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "placement/error.hpp"
#include "placement/expert_sums.hpp"
#include "placement/objective.hpp"
#include "placement/token_split.hpp"

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

namespace {

/// What is gathered over all (step, layer).
struct Sums {
  std::vector<double> step_seconds;   // [step]
  std::vector<std::int64_t> tokens;   // [layer][rank] over all steps
  std::vector<std::int64_t> slowest;  // [rank] how often it is
  double imbalance = 0;
  double straggle = 0;
  double straggle_load = 0;
};

/// What the slowest rank makes the others wait, on average.
double lost(std::span<const double> seconds) {
  const auto all = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return *std::max_element(seconds.begin(), seconds.end()) -
         all / static_cast<double>(seconds.size());
}

Sums gather(const Trace& trace, const TokenSplit& split, const CostModel& cost) {
  const auto ranks = static_cast<std::size_t>(split.ranks());
  const auto equal = equal_speeds(cost, split.ranks());
  Sums sums;
  sums.tokens.assign(static_cast<std::size_t>(trace.layers) * ranks, 0);
  sums.slowest.assign(ranks, 0);
  std::vector<std::int64_t> loads(ranks);
  std::vector<double> seconds(ranks);
  std::vector<double> equal_seconds(ranks);
  for (int step = 0; step < trace.steps; ++step) {
    sums.step_seconds.push_back(0);
    for (int layer = 0; layer < trace.layers; ++layer) {
      split.rank_loads(trace.loads(step, layer), layer, loads);
      rank_seconds(cost, split, trace.loads(step, layer), layer, seconds);
      rank_seconds(equal, split, trace.loads(step, layer), layer, equal_seconds);
      const auto slowest = std::max_element(seconds.begin(), seconds.end());
      ++sums.slowest[static_cast<std::size_t>(slowest - seconds.begin())];
      sums.step_seconds.back() += *slowest;
      sums.straggle += lost(seconds);
      sums.straggle_load += lost(equal_seconds);
      sums.imbalance += imbalance(loads);
      auto* summed = sums.tokens.data() + static_cast<std::size_t>(layer) * ranks;
      for (std::size_t rank = 0; rank < ranks; ++rank) summed[rank] += loads[rank];
    }
  }
  return sums;
}

}  // namespace

Score score(const Trace& trace, const Placement& placement, const CostModel& cost,
            const Placement* from) {
  require_same_shape(trace, placement);
  require_same_ranks(placement, cost);
  if (trace.steps < 1) throw usage_error("the trace has no steps to judge a placement on");
  const auto sums = gather(trace, TokenSplit(placement), cost);
  const auto steps = static_cast<double>(trace.steps);
  const auto rows = steps * trace.layers;
  Score result;
  result.step_mean =
      std::accumulate(sums.step_seconds.begin(), sums.step_seconds.end(), 0.0) / steps;
  result.step_p50 = quantile(sums.step_seconds, 0.5);
  result.step_p99 = quantile(sums.step_seconds, 0.99);
  result.bound = lower_bound(trace, cost, placement.slots) / steps;
  result.gap = result.bound > 0 ? result.step_mean / result.bound - 1 : 0;
  const auto ranks = static_cast<std::ptrdiff_t>(placement.ranks);
  for (auto layer = sums.tokens.begin(); layer != sums.tokens.end(); layer += ranks)
    result.aggregate_imbalance += imbalance({layer, layer + ranks}) / trace.layers;
  result.step_imbalance = sums.imbalance / rows;
  const auto most = std::max_element(sums.slowest.begin(), sums.slowest.end());
  result.straggler = static_cast<int>(most - sums.slowest.begin());
  result.straggler_share = static_cast<double>(*most) / rows;
  result.straggle = sums.straggle / steps;
  result.straggle_load = sums.straggle_load / steps;
  result.straggle_speed = result.straggle - result.straggle_load;
  result.duplicates = count_duplicates(placement);
  if (from) result.moves = count_moves(*from, placement);
  return result;
}

HeldOut hold_out(const Trace& trace, double share) {
  if (!(share > 0 && share < 1))
    throw usage_error(
        fmt::format("{} is no share of the steps to plan on; use one between 0 and 1", share));
  if (trace.steps < 2)
    throw usage_error(fmt::format("{} steps cannot be split; record at least 2", trace.steps));
  const auto plan =
      std::clamp(static_cast<int>(std::lround(share * trace.steps)), 1, trace.steps - 1);
  return {slice(trace, 0, plan), slice(trace, plan, trace.steps - plan)};
}

}  // namespace gembench
