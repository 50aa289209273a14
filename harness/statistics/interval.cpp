#include "harness/statistics/interval.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline statistics {
namespace {

/// More pairs are pooled with their neighbours, since the estimate uses the means of all pairs of
/// them.
constexpr std::size_t kMostPairs = 512;
constexpr double kCut = 2.5;  // robust standard deviations

/// Ascending means of all pairs of values, each with itself too.
std::vector<double> pair_means(std::span<const double> values) {
  std::vector<double> means;
  means.reserve(values.size() * (values.size() + 1) / 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = i; j < values.size(); ++j) means.push_back((values[i] + values[j]) / 2);
  }
  std::ranges::sort(means);
  return means;
}

/// Means of neighbours, at most kMostPairs of them.
std::vector<double> pooled(const std::vector<double>& values) {
  const std::size_t together = (values.size() + kMostPairs - 1) / kMostPairs;
  if (together <= 1) return values;
  std::vector<double> means;
  for (std::size_t first = 0; first < values.size(); first += together) {
    const std::size_t end = std::min(first + together, values.size());
    double sum = 0;
    for (std::size_t i = first; i < end; ++i) sum += values[i];
    means.push_back(sum / static_cast<double>(end - first));
  }
  return means;
}

}  // namespace

double student_quantile(double freedom, double probability) {
  return boost::math::quantile(boost::math::students_t(freedom), probability);
}

std::vector<double> robust_rest(std::span<const double> values, double centre) {
  std::vector<double> rest(values.begin(), values.end());
  for (double& value : rest) value = std::abs(value - centre);
  const double deviation = 1.4826 * quantile(rest, 0.5);
  if (deviation == 0) return std::vector<double>(values.size(), 0);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    rest[i] = std::clamp((values[i] - centre) / deviation, -kCut, kCut);
  }
  return rest;
}

double alike(std::vector<double> rest) {
  const auto n = static_cast<double>(rest.size());
  const double mean = std::accumulate(rest.begin(), rest.end(), 0.0) / n;
  double product = 0, square = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    rest[i] -= mean;
    square += rest[i] * rest[i];
    if (i > 0) product += rest[i] * rest[i - 1];
  }
  if (square < 1e-20) return 1;  // rounding
  const double r = product / square;
  const double raised = r + 1.25 * (1 + 3 * std::clamp(r, 0.0, 1.0)) / n + 0.7 / std::sqrt(n);
  const double used = std::clamp(raised, 0.0, kMostCorrelation);
  return (1 + used) / (1 - used);
}

Difference typical_difference(std::span<const double> log_ratios, int comparisons) {
  Difference difference;
  difference.blocks = static_cast<int>(log_ratios.size());
  if (log_ratios.empty()) {
    difference.mean = difference.typical = NAN;
    return difference;
  }
  const auto n = static_cast<double>(log_ratios.size());
  difference.mean = std::expm1(std::accumulate(log_ratios.begin(), log_ratios.end(), 0.0) / n);
  const std::vector<double> means = pair_means(log_ratios);
  const double centre = quantile(means, 0.5);
  difference.typical = std::expm1(centre);
  if (difference.blocks < kLeastBlocks) return difference;

  // The rank from either end at which the 95 % interval of independent pairs lies.
  const double spread = std::sqrt(n * (n + 1) * (2 * n + 1) / 24);
  const double rank = static_cast<double>(means.size()) / 2 - kNormal * spread - 0.5;
  const auto at = static_cast<std::size_t>(std::max(0.0, rank));
  const double likeness = alike(robust_rest(log_ratios, centre));
  difference.error = (means[means.size() - 1 - at] - means[at]) / 2 / kNormal * std::sqrt(likeness);
  const double freedom = std::max(1.0, std::floor(n / likeness) - 1);
  const double stretch = std::sqrt(likeness) * student_quantile(freedom, 1 - 0.025 / comparisons) /
                         student_quantile(n - 1, 0.975);
  difference.low = std::expm1(centre - (centre - means[at]) * stretch);
  difference.high = std::expm1(centre + (means[means.size() - 1 - at] - centre) * stretch);
  return difference;
}

Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                             const std::vector<std::int64_t>& block, int comparisons) {
  struct Sums {
    double a = 0, b = 0;
  };
  std::map<std::int64_t, Sums> by_block;
  Sums total;
  for (std::size_t step = 0; step < block.size(); ++step) {
    if (block[step] < 0 || std::isnan(a[step]) || std::isnan(b[step])) continue;
    Sums& sums = by_block[block[step]];
    sums.a += a[step];
    sums.b += b[step];
    total.a += a[step];
    total.b += b[step];
  }
  std::vector<double> log_ratios;
  for (const auto& [index, sums] : by_block) {
    if (sums.a > 0 && sums.b > 0) log_ratios.push_back(std::log(sums.b / sums.a));
  }
  Difference difference = typical_difference(pooled(log_ratios), comparisons);
  difference.mean = total.a > 0 ? total.b / total.a - 1 : NAN;
  difference.blocks = static_cast<int>(by_block.size());
  return difference;
}

}  // namespace gembench::inline statistics
