#include "placement/cost/bound.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gembench::inline cost {
namespace {

/// Largest load (fractional) a rank can carry in `seconds`, -1 when not even its cheapest load
/// fits. The last crossing counts, so a measured dip cannot push the bound up.
double most_tokens(const CostModel& cost, int rank, double seconds) {
  const auto load_points = cost.load_points();
  const auto latency = cost.latency(rank);
  const auto last = load_points.size() - 1;
  auto k = last + 1;
  while (k > 0 && latency[k - 1] > seconds) --k;
  if (k == 0) return -1;
  --k;  // the last load point within `seconds`
  const auto piece = std::max<std::size_t>(1, std::min(k + 1, last));
  const auto slope = (latency[piece] - latency[piece - 1]) /
                     static_cast<double>(load_points[piece] - load_points[piece - 1]);
  const auto spare = seconds - latency[k];
  if (slope <= 0)
    return 1e300;  // only beyond the last load point: the next one costs more otherwise
  return static_cast<double>(load_points[k]) + spare / slope;
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

/// Least seconds of a rank that carries at least `tokens`: a curve may fall later.
double least_from(const CostModel& cost, int rank, std::int64_t tokens) {
  const auto load_points = cost.load_points();
  const auto latency = cost.latency(rank);
  auto least = cost.seconds(rank, tokens);
  for (auto k = load_points.size(); k-- > 0 && load_points[k] > tokens;)
    least = std::min(least, latency[k]);
  return least;
}

/// Seconds for at least `tokens` on the rank where that is fastest.
double cheapest_with(const CostModel& cost, std::int64_t tokens) {
  auto least = std::numeric_limits<double>::infinity();
  for (int rank = 0; rank < cost.ranks(); ++rank)
    least = std::min(least, least_from(cost, rank, tokens));
  return least;
}

/// Sums of the lightest experts of a row, and the bound for the hottest ones by the pigeonhole
/// principle.
struct Order {
  std::int64_t lightest = 0;  // as many as a rank holds
  std::int64_t hottest = 0;   // with the lightest others
  std::int64_t pair = 0;      // the least two of ranks + 1 hottest, with the lightest others
  std::int64_t triple = 0;    // the least three of 2 ranks + 1 hottest, with the lightest others
};

Order order_of(std::span<const std::int32_t> loads, std::size_t ranks,
               std::vector<std::int64_t>& sorted) {
  sorted.assign(loads.begin(), loads.end());
  std::sort(sorted.begin(), sorted.end());
  const auto experts = sorted.size();
  const auto slots = experts / ranks;
  const auto light = [&](std::size_t count) {
    return std::accumulate(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count),
                           std::int64_t{0});
  };
  Order order;
  order.lightest = light(slots);
  order.hottest = sorted[experts - 1] + light(slots - 1);
  if (experts > ranks)
    order.pair = sorted[experts - ranks - 1] + sorted[experts - ranks] + light(slots - 2);
  if (experts > 2 * ranks)
    order.triple = sorted[experts - 2 * ranks - 1] + sorted[experts - 2 * ranks] +
                   sorted[experts - 2 * ranks + 1] + light(slots - 3);
  return order;
}

/// Caches a function of a load: with thousands of ranks it is computed once per load.
template <class Function>
class Memo {
 public:
  explicit Memo(Function function) : function_(std::move(function)) {}
  double operator()(std::int64_t load) {
    const auto [at, first] = known_.try_emplace(load);
    if (first) at->second = function_(load);
    return at->second;
  }

 private:
  Function function_;
  std::unordered_map<std::int64_t, double> known_;
};

double bound_by_tokens(const Trace& trace, const CostModel& cost, std::int64_t spare) {
  // However they are split: one of its replicas gets at least this share of an expert's tokens.
  const auto copies = std::clamp<std::int64_t>(spare + 1, 1, cost.ranks());
  const bool full = spare == 0 && trace.experts % cost.ranks() == 0;  // and without replicas
  Memo spread([&](std::int64_t total) { return fractional_optimum(cost, total); });
  Memo cheapest([&](std::int64_t load) { return cheapest_with(cost, load); });
  Memo dearest([&](std::int64_t load) {
    double most = 0;
    for (int rank = 0; rank < cost.ranks(); ++rank)
      most = std::max(most, least_from(cost, rank, load));
    return most;
  });
  std::vector<std::int64_t> sorted;
  double bound = 0;
  for (int step = 0; step < trace.steps; ++step) {
    const auto total = std::int64_t{trace.tokens_in_step(step)} * trace.topk;
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      const auto hottest = std::int64_t{*std::max_element(loads.begin(), loads.end())};
      double least = std::max(spread(total), cheapest((hottest + copies - 1) / copies));
      if (full) {
        const auto order = order_of(loads, static_cast<std::size_t>(cost.ranks()), sorted);
        least = std::max({least, cheapest(order.hottest), dearest(order.lightest),
                          cheapest(order.pair), cheapest(order.triple)});
      }
      bound += least;
    }
  }
  return bound;
}

/// cost model `per-expert`. For weights w_g >= 0 that sum to 1 the slowest rank takes at least the
/// weighted mean of all, and every expert adds at least its least weighted cost; weights by speed
/// make that tight where ranks differ by a factor. It does not bound experts if spare slots allow
/// replicas.
double bound_by_experts(const Trace& trace, const CostModel& cost, std::int64_t spare) {
  std::vector<double> weight;
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    const auto slope = cost.mean_slope(rank);
    weight.push_back(slope > 0 ? 1 / slope : 0);
  }
  const auto sum = std::accumulate(weight.begin(), weight.end(), 0.0);
  for (auto& w : weight) w = sum > 0 ? w / sum : 1 / static_cast<double>(cost.ranks());
  double idle = 0;
  double longest_idle = 0;
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    idle += weight[static_cast<std::size_t>(rank)] * cost.seconds(rank, 0);
    longest_idle = std::max(longest_idle, cost.seconds(rank, 0));
  }
  Memo added([&](std::int64_t tokens) {
    double least = std::numeric_limits<double>::infinity();
    for (int rank = 0; rank < cost.ranks(); ++rank)
      least = std::min(least,
                       weight[static_cast<std::size_t>(rank)] * cost.expert_seconds(rank, tokens));
    return least;
  });
  Memo alone([&](std::int64_t tokens) {
    double least = std::numeric_limits<double>::infinity();
    for (int rank = 0; rank < cost.ranks(); ++rank)
      least = std::min(least, cost.seconds(rank, 0) + cost.expert_seconds(rank, tokens));
    return least;
  });
  double bound = 0;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      double least = longest_idle;
      double together = idle;
      if (spare == 0)
        for (auto tokens : trace.loads(step, layer)) {
          together += added(tokens);
          least = std::max(least, alone(tokens));
        }
      bound += std::max(least, together);
    }
  return bound;
}

}  // namespace

PerfectBalance perfect_balance(const Trace& trace, const CostModel& cost) {
  Memo together([&](std::int64_t total) { return fractional_optimum(cost, total); });
  Memo alike([&](std::int64_t total) {
    double slowest = 0;
    for (int rank = 0; rank < cost.ranks(); ++rank)
      slowest = std::max(slowest, cost.seconds(rank, (total + cost.ranks() - 1) / cost.ranks()));
    return slowest;
  });
  PerfectBalance sum;
  for (int step = 0; step < trace.steps; ++step) {
    const auto total = std::int64_t{trace.tokens_in_step(step)} * trace.topk;
    sum.tokens += alike(total) * trace.layers;
    sum.time += together(total) * trace.layers;
  }
  return sum;
}

double lower_bound(const Trace& trace, const CostModel& cost, int slots) {
  const auto spare = slots == 0 ? 0 : std::int64_t{slots} * cost.ranks() - trace.experts;
  return cost.kind() == CostKind::sum ? bound_by_tokens(trace, cost, spare)
                                      : bound_by_experts(trace, cost, spare);
}

}  // namespace gembench::inline cost
