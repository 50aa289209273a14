#include "placement/cost/bound.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "placement/cost/expert_curves.hpp"

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
               std::vector<std::int64_t>& row) {
  row.assign(loads.begin(), loads.end());
  const auto experts = row.size();
  const auto slots = experts / ranks;
  const auto at = [&](std::size_t place) {
    return row.begin() + static_cast<std::ptrdiff_t>(place);
  };
  // A few places of the sorted row are enough, asked for in ascending order.
  std::partial_sort(row.begin(), at(slots), row.end());
  auto known = at(slots);
  const auto sorted = [&](std::size_t place) {
    if (at(place) >= known) {
      std::nth_element(known, at(place), row.end());
      known = at(place + 1);
    }
    return row[place];
  };
  const auto light = [&](std::size_t count) {
    return std::accumulate(row.begin(), at(count), std::int64_t{0});
  };
  const auto sum_from = [&](std::size_t first, std::size_t count) {
    std::int64_t sum = 0;
    for (std::size_t place = first; place < first + count; ++place) sum += sorted(place);
    return sum;
  };
  Order order;
  order.lightest = light(slots);
  if (experts > 2 * ranks) order.triple = sum_from(experts - 2 * ranks - 1, 3) + light(slots - 3);
  if (experts > ranks) order.pair = sum_from(experts - ranks - 1, 2) + light(slots - 2);
  order.hottest = sorted(experts - 1) + light(slots - 1);
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

/// Mean tokens of the experts that have some, rounded up.
std::int64_t typical_load(const Trace& trace) {
  std::int64_t tokens = 0;
  std::int64_t busy = 0;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer)
      for (const auto load : trace.loads(step, layer)) {
        tokens += load;
        busy += load > 0;
      }
  return busy > 0 ? (tokens + busy - 1) / busy : 1;
}

/// Weights of the ranks, above 0, that sum to 1: by the speed for an expert of that load, which
/// makes the weighted mean of the ranks a tight bound where they differ by a factor.
std::vector<double> speed_weights(const CostModel& cost, std::int64_t tokens) {
  std::vector<double> weights;
  for (int rank = 0; rank < cost.ranks(); ++rank)
    weights.push_back(1 / cost.expert_seconds(rank, tokens));
  const auto sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (auto& weight : weights)
    weight = std::isfinite(sum) ? weight / sum : 1 / static_cast<double>(cost.ranks());
  return weights;
}

/// Cost model `per-expert`, one step and layer. The slowest rank takes at least the weighted mean
/// of all, to which an expert of n tokens adds the least w_g h_g(n) if it has one copy, and if it
/// has c at least n times the least (w_g h_g(m) + price) / m of all parts m that a copy can get,
/// less c times the price, however tokens are split and whatever the price is; with `spare` more
/// slots than experts, at most `spare` experts have several copies, with at most `spare` beyond the
/// first together. It also takes at least what the dearest expert that has one copy takes on the
/// cheapest rank, and the largest part of the hottest expert.
class ExpertBound {
 public:
  ExpertBound(const CostModel& cost, std::vector<double> weights, std::int64_t spare, double price)
      : cost_(cost),
        weights_(std::move(weights)),
        curves_(cost, extra(price)),
        spare_(spare),
        price_(price) {
    for (int rank = 0; rank < cost.ranks(); ++rank) {
      idle_ += weight(rank) * cost.seconds(rank, 0);
      longest_idle_ = std::max(longest_idle_, cost.seconds(rank, 0));
    }
  }

  [[nodiscard]] double of(std::span<const std::int32_t> loads) {
    const auto experts = static_cast<std::int64_t>(loads.size());
    const auto several = std::min(spare_, experts);
    saved_.clear();
    single_.clear();
    double together = idle_;
    std::int64_t hottest = 0;
    for (const std::int64_t tokens : loads) {
      const auto& least = of_expert(tokens);
      together += least.whole;
      saved_.push_back(least.saved);
      single_.push_back(least.alone);
      hottest = std::max(hottest, tokens);
    }
    double least = longest_idle_;
    if (several > 0) {
      std::ranges::nth_element(saved_, saved_.begin() + several - 1, std::greater<>());
      const double saved = std::accumulate(saved_.begin(), saved_.begin() + several, 0.0);
      together -= saved + price_ * static_cast<double>(spare_);
      least = std::max(least, of_part((hottest + spare_) / (spare_ + 1)));
    }
    if (several < experts) {
      std::ranges::nth_element(single_, single_.begin() + several, std::greater<>());
      least = std::max(least, single_[static_cast<std::size_t>(several)]);
    }
    return std::max(least, together);
  }

 private:
  struct OfExpert {
    double whole = 0;  // weighted
    double saved = 0;  // of that by having several copies, the price of the others not counted
    double alone = 0;  // seconds of a rank with nothing else
  };

  /// The price in seconds of every rank: weighted, it is the same on all.
  [[nodiscard]] std::vector<double> extra(double price) const {
    std::vector<double> seconds;
    for (const double one : weights_) seconds.push_back(price / one);
    return seconds;
  }
  [[nodiscard]] double weight(int rank) const { return weights_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] double least_of_ranks(const auto& seconds) const {
    auto least = std::numeric_limits<double>::infinity();
    for (int rank = 0; rank < cost_.ranks(); ++rank) least = std::min(least, seconds(rank));
    return least;
  }

  const OfExpert& of_expert(std::int64_t tokens) {
    const auto [at, first] = experts_.try_emplace(tokens);
    auto& least = at->second;
    if (!first) return least;
    const auto seconds = [&](int rank) { return cost_.expert_seconds(rank, tokens); };
    least.whole = least_of_ranks([&](int rank) { return weight(rank) * seconds(rank); });
    least.alone = least_of_ranks([&](int rank) { return cost_.seconds(rank, 0) + seconds(rank); });
    if (spare_ == 0 || tokens == 0) return least;
    const double token = least_of_ranks(
        [&](int rank) { return weight(rank) * curves_.least_per_token(rank, tokens); });
    least.saved = least.whole - (token * static_cast<double>(tokens) - price_);
    return least;
  }

  double of_part(std::int64_t tokens) {
    const auto [at, first] = parts_.try_emplace(tokens);
    if (first)
      at->second = least_of_ranks(
          [&](int rank) { return cost_.seconds(rank, 0) + curves_.least_from(rank, tokens); });
    return at->second;
  }

  const CostModel& cost_;
  std::vector<double> weights_;
  ExpertCurves curves_;
  std::int64_t spare_;
  double price_;
  double idle_ = 0;  // weighted
  double longest_idle_ = 0;
  std::unordered_map<std::int64_t, OfExpert> experts_;  // by tokens
  std::unordered_map<std::int64_t, double> parts_;
  std::vector<double> saved_, single_;
};

double bound_by_experts(const Trace& trace, const CostModel& cost, std::int64_t spare) {
  const auto typical = typical_load(trace);
  const auto weights = speed_weights(cost, typical);
  const auto bound = [&](double price, int every) {
    ExpertBound least(cost, weights, spare, price);
    double sum = 0;
    for (int step = 0; step < trace.steps; step += every)
      for (int layer = 0; layer < trace.layers; ++layer) sum += least.of(trace.loads(step, layer));
    return sum;
  };
  // Every price gives a bound, and some steps show which gives a large one.
  constexpr int kShown = 16;
  constexpr double kPrices[] = {0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1, 2, 4, 8};
  double price = 0;
  const int every = std::max(1, trace.steps / kShown);
  const double unit = weights[0] * cost.expert_seconds(0, typical);
  for (double most = bound(0, every); const double share : kPrices) {
    if (spare == 0) break;
    const double found = bound(share * unit, every);
    if (found > most) price = share * unit;
    most = std::max(most, found);
  }
  return bound(price, 1);
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
  const auto places = std::int64_t{slots} * cost.ranks();
  const auto spare = slots == 0 ? 0 : std::max<std::int64_t>(0, places - trace.experts);
  return cost.kind() == CostKind::sum ? bound_by_tokens(trace, cost, spare)
                                      : bound_by_experts(trace, cost, spare);
}

}  // namespace gembench::inline cost
