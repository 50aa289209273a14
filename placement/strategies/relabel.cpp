#include "placement/strategies/relabel.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/token_split.hpp"

namespace gembench::inline strategies {
namespace {

constexpr int kMaxTries = 50000;  // swaps evaluated per layer and start
// An improvement below this share of the cost may be rounding.
constexpr double kWorthwhile = 1e-10;
constexpr std::size_t kCheckedEvery = 32;  // steps between checks whether a swap has already lost

/// One layer: which rank gets which row.
class RowSearch {
 public:
  RowSearch(const Trace& trace, const TokenSplit& split, int layer, const CostModel& cost)
      : cost_(cost), ranks_(static_cast<std::size_t>(cost.ranks())) {
    const auto steps = static_cast<std::size_t>(trace.steps);
    load_.resize(ranks_ * steps);
    std::vector<std::int64_t> row(ranks_);
    for (std::size_t step = 0; step < steps; ++step) {
      split.rank_loads(trace, static_cast<int>(step), layer, row);
      for (std::size_t r = 0; r < ranks_; ++r) load_[r * steps + step] = row[r];
    }
    steps_ = steps;
    seconds_.resize(load_.size());
    top_.resize(steps);
    gain_.resize(ranks_);
    others_.resize(steps);
  }

  /// [rank] -> row; heaviest row to the rank that is fastest at the mean load.
  [[nodiscard]] std::vector<std::size_t> by_speed() const {
    std::vector<std::int64_t> sum(ranks_);
    for (std::size_t r = 0; r < ranks_; ++r)
      sum[r] = std::accumulate(of(r).begin(), of(r).end(), std::int64_t{0});
    const auto total = std::accumulate(sum.begin(), sum.end(), std::int64_t{0});
    const auto mean = total / static_cast<std::int64_t>(ranks_ * steps_);
    std::vector<double> pace;
    for (std::size_t r = 0; r < ranks_; ++r)
      pace.push_back(cost_.seconds(static_cast<int>(r), mean));
    std::vector<std::size_t> rows(ranks_);
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    auto fastest = rows;
    std::stable_sort(rows.begin(), rows.end(), [&](auto a, auto b) { return sum[a] > sum[b]; });
    std::stable_sort(fastest.begin(), fastest.end(),
                     [&](auto a, auto b) { return pace[a] < pace[b]; });
    std::vector<std::size_t> row_of(ranks_);
    for (std::size_t i = 0; i < ranks_; ++i) row_of[fastest[i]] = rows[i];
    return row_of;
  }

  /// Improves `row_of` by swaps; returns its cost, never above that of the start.
  double improve(std::vector<std::size_t>& row_of, const std::function<void()>& pulse) {
    for (std::size_t rank = 0; rank < ranks_; ++rank) predict(rank, row_of[rank]);
    double cost = rank_steps();
    int tries = 0;
    for (bool better = true; better && tries < kMaxTries;) {
      better = false;
      for (std::size_t a = 0; a < ranks_; ++a)
        for (std::size_t b = a + 1; b < ranks_ && tries < kMaxTries; ++b) {
          // All a swap can win: its ranks' steps as the slowest, cut to the third slowest.
          if (gain_[a] + gain_[b] <= kWorthwhile * cost) continue;
          ++tries;
          if (pulse) pulse();
          const auto enough = cost * (1 - kWorthwhile);
          if (!helps(a, b, row_of, enough)) continue;
          const auto then = exchange(a, b, row_of);
          if (then < enough) {
            cost = then;
            better = true;
          } else {  // the apparent gain was rounding
            (void)exchange(a, b, row_of);
          }
        }
    }
    return cost;
  }

 private:
  struct Top {
    std::size_t rank[2] = {0, 0};
    double seconds[3] = {0, 0, 0};  // slowest three; 0 where there are fewer ranks
  };

  [[nodiscard]] std::span<const std::int64_t> of(std::size_t row) const {
    return std::span(load_).subspan(row * steps_, steps_);
  }

  void predict(std::size_t rank, std::size_t row) {
    for (std::size_t step = 0; step < steps_; ++step)
      seconds_[rank * steps_ + step] = cost_.seconds(static_cast<int>(rank), of(row)[step]);
  }

  /// Ranks a and b swap their rows; returns the cost.
  double exchange(std::size_t a, std::size_t b, std::vector<std::size_t>& row_of) {
    std::swap(row_of[a], row_of[b]);
    predict(a, row_of[a]);
    predict(b, row_of[b]);
    return rank_steps();
  }

  /// Finds every step's slowest ranks and each rank's possible saving; returns the cost.
  double rank_steps() {
    std::fill(top_.begin(), top_.end(), Top{});
    for (std::size_t rank = 0; rank < ranks_; ++rank)
      for (std::size_t step = 0; step < steps_; ++step) {
        auto& top = top_[step];
        const auto seconds = seconds_[rank * steps_ + step];
        if (seconds > top.seconds[0] || rank == 0) {
          top = {{rank, top.rank[0]}, {seconds, top.seconds[0], top.seconds[1]}};
        } else if (seconds > top.seconds[1] || rank == 1) {
          top = {{top.rank[0], rank}, {top.seconds[0], seconds, top.seconds[1]}};
        } else {
          top.seconds[2] = std::max(top.seconds[2], seconds);
        }
      }
    std::fill(gain_.begin(), gain_.end(), 0);
    double cost = 0;
    for (const auto& top : top_) {
      cost += top.seconds[0];
      gain_[top.rank[0]] += top.seconds[0] - top.seconds[2];
    }
    return cost;
  }

  /// Whether the cost is below `enough` once ranks a and b have swapped their rows.
  [[nodiscard]] bool helps(std::size_t a, std::size_t b, const std::vector<std::size_t>& row_of,
                           double enough) {
    const auto is = [&](std::size_t rank) { return rank == a || rank == b; };
    double sum = 0;  // of the other ranks' slowest, which is cheap; the two ranks add to it
    for (std::size_t step = 0; step < steps_; ++step) {
      const auto& top = top_[step];
      others_[step] = !is(top.rank[0])   ? top.seconds[0]
                      : !is(top.rank[1]) ? top.seconds[1]
                                         : top.seconds[2];
      sum += others_[step];
    }
    const auto to_a = of(row_of[b]);
    const auto to_b = of(row_of[a]);
    for (std::size_t step = 0; step < steps_; ++step) {
      if (step % kCheckedEvery == 0 && sum >= enough) return false;
      const auto slower = std::max(cost_.seconds(static_cast<int>(a), to_a[step]),
                                   cost_.seconds(static_cast<int>(b), to_b[step]));
      sum += std::max(0.0, slower - others_[step]);
    }
    return sum < enough;
  }

  const CostModel& cost_;
  std::size_t ranks_;
  std::size_t steps_ = 0;
  std::vector<std::int64_t> load_;  // [row][step]
  std::vector<double> seconds_;     // [rank][step], with the row the rank has now
  std::vector<Top> top_;            // [step]
  std::vector<double> gain_;        // [rank] most that moving it off its slowest steps can save
  std::vector<double> others_;      // [step] scratch of helps()
};

/// Predicted seconds of one layer, all steps.
double layer_seconds(const Trace& trace, const TokenSplit& split, int layer,
                     const CostModel& cost) {
  std::vector<double> seconds(static_cast<std::size_t>(split.ranks()));
  double sum = 0;
  for (int step = 0; step < trace.steps; ++step) {
    rank_seconds(cost, split, trace, step, layer, seconds);
    sum += *std::max_element(seconds.begin(), seconds.end());
  }
  return sum;
}

}  // namespace

Placement relabel(const Placement& placement, const Trace& trace, const CostModel& cost,
                  const PlanWatch& watch) {
  require_same_shape(trace, placement);
  require_same_ranks(placement, cost);
  if (trace.steps < 1) throw usage_error("the trace has no steps to relabel a placement on");
  require_speeds(cost);
  const TokenSplit split(placement);
  auto result = placement;
  std::vector<std::size_t> as_is(static_cast<std::size_t>(placement.ranks));
  std::iota(as_is.begin(), as_is.end(), std::size_t{0});
  WatchedLayers watched(watch, placement.layers);
  for (int layer = 0; layer < placement.layers; ++layer) {
    const auto pulse = watched.pulse(layer);
    RowSearch search(trace, split, layer, cost);
    auto row_of = as_is;
    auto sorted = search.by_speed();
    const auto from_as_is = search.improve(row_of, pulse);
    if (search.improve(sorted, pulse) < from_as_is) row_of = sorted;
    for (std::size_t rank = 0; rank < row_of.size(); ++rank)
      std::ranges::copy(placement.on_rank(layer, static_cast<int>(row_of[rank])),
                        result.on_rank(layer, static_cast<int>(rank)).begin());
    watched.finished(layer);
  }
  // The search uses the sum of a row's tokens. But the replica that gets a remainder depends on the
  // order of ranks, and the cost model `per-expert` depends on each expert: if either turned a gain
  // into a loss, rows stay unchanged.
  const TokenSplit after(result);
  for (int layer = 0; layer < placement.layers; ++layer)
    if (layer_seconds(trace, after, layer, cost) > layer_seconds(trace, split, layer, cost))
      for (int rank = 0; rank < placement.ranks; ++rank)
        std::ranges::copy(placement.on_rank(layer, rank), result.on_rank(layer, rank).begin());
  return result;
}

}  // namespace gembench::inline strategies
