#include "placement/objective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "placement/checked.hpp"
#include "placement/token_split.hpp"

namespace gembench {
namespace {

/// Largest load (fractional) a rank can carry in `seconds`, -1 when not even its cheapest load
/// fits. The last crossing counts, so a measured dip cannot push the bound up.
double most_tokens(const CostModel& cost, int rank, double seconds) {
  const auto knots = cost.knots();
  const auto latency = cost.latency(rank);
  const auto last = knots.size() - 1;
  auto k = last + 1;
  while (k > 0 && latency[k - 1] > seconds) --k;
  if (k == 0) return -1;
  --k;  // the last knot within `seconds`
  const auto segment = std::max<std::size_t>(1, std::min(k + 1, last));
  const auto slope = (latency[segment] - latency[segment - 1]) /
                     static_cast<double>(knots[segment] - knots[segment - 1]);
  const auto spare = seconds - latency[k];
  if (slope <= 0) return 1e300;  // only beyond the last knot: the next one costs more otherwise
  return static_cast<double>(knots[k]) + spare / slope;
}

/// Least seconds in which all ranks together carry `total` tokens, if tokens could be split at
/// will. Bisection; returns the end that is still too short, so rounding never lifts the bound.
double fractional_optimum(const CostModel& cost, std::int64_t total) {
  const auto carried = [&](double seconds) {
    double sum = 0;
    for (int rank = 0; rank < cost.ranks(); ++rank) {
      const auto tokens = most_tokens(cost, rank, seconds);
      if (tokens < 0) return -1.0;
      sum += tokens;
    }
    return sum;
  };
  double low = 0;
  double high = 0;
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    const auto latency = cost.latency(rank);
    low = std::max(low, *std::min_element(latency.begin(), latency.end()));
    high = std::max({high, cost.seconds(rank, total), cost.seconds(rank, 0)});
  }
  if (carried(low) >= static_cast<double>(total)) return low;
  for (int i = 0; i < 100; ++i) {
    const auto middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (carried(middle) < static_cast<double>(total) ? low : high) = middle;
  }
  return low;
}

/// Least seconds of any rank that carries at least `tokens`.
double cheapest_with(const CostModel& cost, std::int64_t tokens) {
  const auto knots = cost.knots();
  double least = cost.seconds(0, tokens);
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    least = std::min(least, cost.seconds(rank, tokens));
    const auto latency = cost.latency(rank);
    const auto next = std::upper_bound(knots.begin(), knots.end(), tokens) - knots.begin();
    for (auto k = static_cast<std::size_t>(next); k < knots.size(); ++k)
      least = std::min(least, latency[k]);
  }
  return least;
}

}  // namespace

void require_same_shape(const Trace& trace, const Placement& placement) {
  if (trace.layers != placement.layers || trace.experts != placement.experts)
    throw usage_error(
        fmt::format("the placement is for {} layers of {} experts, the trace has {} of "
                    "{}; use those that belong together",
                    placement.layers, placement.experts, trace.layers, trace.experts));
}

void require_same_ranks(const Placement& placement, const CostModel& cost) {
  if (cost.ranks() != placement.ranks)
    throw usage_error(
        fmt::format("the placement is for {} ranks, the profile for {}; use those that "
                    "belong together",
                    placement.ranks, cost.ranks()));
}

std::vector<std::int64_t> rank_loads(const Trace& trace, const Placement& placement) {
  require_same_shape(trace, placement);
  const TokenSplit split(placement);
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  std::vector<std::int64_t> loads(
      checked_product({trace.steps, trace.layers, placement.ranks}, "the table of rank loads"));
  auto row = std::span(loads);
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer, row = row.subspan(ranks))
      split.rank_loads(trace.loads(step, layer), layer, row.first(ranks));
  return loads;
}

void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<double> seconds) {
  for (std::size_t rank = 0; rank < loads.size(); ++rank)
    seconds[rank] = cost.seconds(static_cast<int>(rank), loads[rank]);
}

std::vector<double> predicted_layer_seconds(const Trace& trace, const Placement& placement,
                                            const CostModel& cost) {
  require_same_shape(trace, placement);
  require_same_ranks(placement, cost);
  const TokenSplit split(placement);
  std::vector<std::int64_t> loads(static_cast<std::size_t>(placement.ranks));
  std::vector<double> of_ranks(loads.size());  // one row at a time: there may be thousands of ranks
  std::vector<double> seconds;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      split.rank_loads(trace.loads(step, layer), layer, loads);
      rank_seconds(cost, loads, of_ranks);
      seconds.push_back(*std::max_element(of_ranks.begin(), of_ranks.end()));
    }
  return seconds;
}

double objective(const Trace& trace, const Placement& placement, const CostModel& cost) {
  const auto seconds = predicted_layer_seconds(trace, placement, cost);
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

double lower_bound(const Trace& trace, const CostModel& cost, int slots) {
  // Even split: one of its replicas gets at least this share of an expert's tokens.
  const auto spare = std::int64_t{slots} * cost.ranks() - trace.experts;
  const auto copies = slots == 0 ? 1 : std::clamp<std::int64_t>(spare + 1, 1, cost.ranks());
  std::unordered_map<std::int64_t, double> by_total;  // every layer of a step has the same total
  std::unordered_map<std::int64_t, double> by_load;   // thousands of ranks: ask once per load
  double bound = 0;
  for (int step = 0; step < trace.steps; ++step) {
    const auto total = std::int64_t{trace.tokens_in_step(step)} * trace.topk;
    const auto found = by_total.find(total);
    const auto spread =
        found != by_total.end()
            ? found->second
            : by_total.emplace(total, fractional_optimum(cost, total)).first->second;
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      const auto hottest = std::int64_t{*std::max_element(loads.begin(), loads.end())};
      const auto [alone, first] = by_load.try_emplace((hottest + copies - 1) / copies);
      if (first) alone->second = cheapest_with(cost, alone->first);
      bound += std::max(spread, alone->second);
    }
  }
  return bound;
}

}  // namespace gembench
