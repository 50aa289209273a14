#include "harness/statistics/block_change.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace gembench::inline statistics {
namespace {

/// Standard deviation times Student's quantile for two-sided 95 % of `together` comparisons.
double spread_of(const std::vector<double>& values, int together) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double one : values) squares += (one - mean) * (one - mean);
  return std::sqrt(squares / (count - 1)) * student_quantile(count - 1, 1 - 0.025 / together);
}

}  // namespace

int block_begin(int steps, int blocks, int block) {
  return static_cast<int>(std::int64_t{steps} * block / blocks);
}

Difference block_change(const std::vector<double>& ratios, int batches, int together) {
  Difference change = typical_difference(ratios, together);
  const auto blocks = static_cast<int>(ratios.size());
  std::vector<double> means;
  for (int batch = 0; batch < batches; ++batch) {
    const auto first = ratios.begin() + block_begin(blocks, batches, batch);
    const auto end = ratios.begin() + block_begin(blocks, batches, batch + 1);
    means.push_back(std::accumulate(first, end, 0.0) / static_cast<double>(end - first));
  }
  const double half = spread_of(means, together) / std::sqrt(static_cast<double>(batches));
  const double typical = std::log1p(change.typical);
  change.low = std::min(*change.low, std::expm1(typical - half));
  change.high = std::max(*change.high, std::expm1(typical + half));
  return change;
}

void widen(const std::vector<double>& by_error, int together, Difference& change) {
  if (by_error.size() < 2) return;
  const double half = spread_of(by_error, together);
  const double typical = std::log1p(change.typical);
  change.low = std::expm1(typical - std::hypot(typical - std::log1p(*change.low), half));
  change.high = std::expm1(typical + std::hypot(std::log1p(*change.high) - typical, half));
}

}  // namespace gembench::inline statistics
