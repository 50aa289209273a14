#include "harness/comparison.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "placement/random.hpp"
#include "placement/score.hpp"

namespace gembench {
namespace {

constexpr int kResamples = 10000;
constexpr int kStepsAtOnce = 64;

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

double mean(const std::vector<double>& values) {
  return values.empty() ? NAN
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

/// NaN (not measured on this clock) counts as nothing.
double or_zero(double value) {
  return std::isnan(value) ? 0 : value;
}

/// One placement's steps, reduced while they are read.
class Reduction {
 public:
  Reduction(const RunShape& shape, double non_moe_time)
      : shape_(shape),
        non_moe_(non_moe_time * shape.layers),
        step_time(sz(shape.steps), NAN),
        last_(sz(shape.ranks), 0),
        tokens_(sz(shape.layers), std::vector<std::int64_t>(sz(shape.ranks), 0)) {}

  void add(const Block& part, const std::vector<std::int64_t>& blocks) {
    const std::size_t ranks = sz(shape_.ranks), layers = sz(shape_.layers);
    for (std::size_t step = 0; step < sz(part.steps); ++step) {
      const std::size_t at = sz(part.first_step) + step;
      if (blocks[at] < 0) continue;
      const auto* own = &part.step_time[step * ranks];
      step_time[at] = *std::max_element(own, own + ranks) + non_moe_;
      double critical = 0, wait = 0;
      for (std::size_t layer = 0; layer < layers; ++layer) {
        const std::size_t first = (step * layers + layer) * ranks;
        critical += add_layer(part, layer, first);
        for (std::size_t i = first; i < first + ranks; ++i) {
          wait += or_zero(time(part, TimeField::barrier_wait)[i]);
        }
      }
      critical_.push_back(critical);
      waits_.push_back(wait / static_cast<double>(ranks));
      steps_.push_back(step_time[at]);
    }
  }

  PlacementSummary summary() const {
    PlacementSummary s;
    s.steps = static_cast<int>(steps_.size());
    s.step_mean = mean(steps_);
    s.step_p50 = quantile(steps_, 0.5);
    s.step_p90 = quantile(steps_, 0.9);
    s.step_p99 = quantile(steps_, 0.99);
    s.wait_mean = mean(waits_);
    s.wait_share = s.wait_mean / s.step_mean;
    s.straggler = static_cast<int>(std::max_element(last_.begin(), last_.end()) - last_.begin());
    const double readings = static_cast<double>(
        std::max<std::int64_t>(1, std::accumulate(last_.begin(), last_.end(), std::int64_t{0})));
    for (const auto count : last_) s.last_share.push_back(static_cast<double>(count) / readings);
    s.straggler_share = s.last_share[sz(s.straggler)];
    double aggregate = 0;
    for (const auto& layer : tokens_) aggregate += imbalance(layer);
    s.aggregate_imbalance = aggregate / static_cast<double>(tokens_.size());
    s.step_imbalance = mean(imbalances_);
    s.measured = mean(critical_);
    return s;
  }

 private:
  static const std::vector<double>& time(const Block& part, TimeField field) {
    return part.time[static_cast<std::size_t>(field)];
  }

  /// Returns the slowest rank's compute; counts who arrived last.
  double add_layer(const Block& part, std::size_t layer, std::size_t first) {
    const std::size_t ranks = sz(shape_.ranks);
    double slowest = 0, latest = -1;
    std::size_t last = 0;
    std::vector<std::int64_t> loads(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t i = first + rank;
      const double compute =
          time(part, TimeField::route_time)[i] + time(part, TimeField::expert_time)[i];
      const double arrival = compute + or_zero(time(part, TimeField::dispatch_time)[i]);
      slowest = std::max(slowest, compute);
      if (arrival > latest) {
        latest = arrival;
        last = rank;
      }
      loads[rank] = part.count[static_cast<std::size_t>(CountField::tokens)][i];
      tokens_[layer][rank] += loads[rank];
    }
    ++last_[last];
    imbalances_.push_back(imbalance(loads));
    return slowest;
  }

  RunShape shape_;
  double non_moe_;

 public:
  std::vector<double> step_time;  ///< [step] slowest rank; NaN = not measured

 private:
  std::vector<double> steps_, waits_, critical_, imbalances_;
  std::vector<std::int64_t> last_;                 // [rank]
  std::vector<std::vector<std::int64_t>> tokens_;  // [layer][rank]
};

double predicted_step(const RunInfo& info, int placement) {
  const auto& all = info.predicted_layer_time;
  const std::size_t size = sz(info.shape.steps) * sz(info.shape.layers);
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(sz(placement) * size);
  return std::accumulate(first, first + static_cast<std::ptrdiff_t>(size), 0.0) /
         static_cast<double>(info.shape.steps);
}

}  // namespace

Comparison compare(const RunReader& file, double non_moe_time) {
  const RunInfo& info = file.info();
  Comparison comparison;
  std::vector<double> reference;
  for (int placement = 0; placement < info.shape.placements; ++placement) {
    const auto blocks = file.blocks(placement);
    Reduction reduction(info.shape, non_moe_time);
    for (int first = 0; first < info.shape.steps; first += kStepsAtOnce) {
      const int count = std::min(kStepsAtOnce, info.shape.steps - first);
      reduction.add(file.read(placement, first, count), blocks);
    }
    PlacementSummary summary = reduction.summary();
    summary.label = info.labels[sz(placement)];
    summary.predicted = predicted_step(info, placement);
    int switches = 0;
    for (const MoveRecord& move : file.end().moves) {
      if (move.to_placement != placement) continue;
      ++switches;
      summary.moved_seconds += move.seconds;
      summary.moved_bytes += static_cast<double>(move.bytes);
    }
    if (switches > 0) {
      summary.moved_seconds /= switches;
      summary.moved_bytes /= switches;
    }
    if (placement == 0) {
      reference = reduction.step_time;
    } else {
      summary.against_first = paired_difference(reference, reduction.step_time, blocks);
    }
    comparison.placements.push_back(summary);
  }
  return comparison;
}

Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                             const std::vector<std::int64_t>& block) {
  struct Sums {
    double a = 0, b = 0;
  };
  std::map<std::int64_t, Sums> by_block;
  for (std::size_t step = 0; step < block.size(); ++step) {
    if (block[step] < 0 || std::isnan(a[step]) || std::isnan(b[step])) continue;
    by_block[block[step]].a += a[step];
    by_block[block[step]].b += b[step];
  }
  std::vector<Sums> sums;
  Sums total;
  for (const auto& [index, sum] : by_block) {
    sums.push_back(sum);
    total.a += sum.a;
    total.b += sum.b;
  }
  Difference difference;
  difference.blocks = static_cast<int>(sums.size());
  difference.mean = total.a > 0 ? total.b / total.a - 1 : NAN;
  if (sums.size() < 2) return difference;

  std::vector<double> resampled(kResamples);
  Random random(0);
  for (double& value : resampled) {
    Sums drawn;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const Sums& one = sums[random.below(sums.size())];
      drawn.a += one.a;
      drawn.b += one.b;
    }
    value = drawn.b / drawn.a - 1;
  }
  const auto n = static_cast<double>(sums.size());
  const boost::math::students_t student(n - 1);
  const double wide = std::sqrt(n / (n - 1)) * boost::math::quantile(student, 0.975);
  const double tail = boost::math::cdf(boost::math::normal(), -wide);
  difference.low = quantile(resampled, tail);
  difference.high = quantile(resampled, 1 - tail);
  return difference;
}

}  // namespace gembench
