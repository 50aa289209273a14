#include "harness/statistics/summary_interval.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "harness/statistics/interval.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline statistics {
namespace {

constexpr double kLeastSteps = 24;        // of a quantile
constexpr double kLeastBeyond = 7;        // steps expected beyond a quantile
constexpr double kLeastBlocksBeyond = 2;  // blocks of them
constexpr int kExact = 10000;             // more ranks: the normal distribution
constexpr double kUnseen = 2;  // usual times by which a disturbed step may be longer than usual

double sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double square_sum(std::span<const double> values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

bool known(std::span<const double> values, const StepBlocks& blocks) {
  return blocks.count() >= kLeastBlocks &&
         std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

/// Of the mean of steps, from the deviations of steps, with independent blocks.
double variance_of_mean(std::span<const double> rest, const StepBlocks& blocks) {
  const auto count = static_cast<double>(blocks.count()), n = static_cast<double>(rest.size());
  return square_sum(blocks.sums(rest)) * count / (count - 1) / n / n;
}

double freedom(const StepBlocks& blocks, double likeness) {
  return std::max(1.0, std::floor(static_cast<double>(blocks.count()) / likeness) - 1);
}

double likeness_of(std::span<const double> values, const StepBlocks& blocks) {
  const std::vector<double> means = blocks.means(values);
  return alike(robust_rest(means, quantile(means, 0.5)));
}

/// `rest`: deviations of steps from the middle.
Interval around(double middle, std::span<const double> rest, const StepBlocks& blocks) {
  const double likeness = likeness_of(rest, blocks);
  const double half = student_quantile(freedom(blocks, likeness), 0.975) *
                      std::sqrt(variance_of_mean(rest, blocks) * likeness);
  return {middle - half, middle + half};
}

/// The effective number of independent steps for a quantile.
int independent_steps(std::span<const double> values, const StepBlocks& blocks) {
  const auto n = static_cast<double>(values.size());
  std::vector<double> rest =
      robust_rest(values, quantile(std::vector<double>(values.begin(), values.end()), 0.5));
  const double mean = sum(rest) / n;
  for (double& value : rest) value -= mean;
  const double single = square_sum(rest) / (n - 1) / n;
  double together = 1;  // how much less information steps of a block have than independent ones
  if (blocks.count() < values.size() && single > 0) {
    const double few = student_quantile(static_cast<double>(blocks.count()) - 1, 0.975) / kNormal;
    together = std::max(1.0, variance_of_mean(rest, blocks) / single * few * few);
  }
  return static_cast<int>(n / (together * likeness_of(values, blocks)));
}

/// Order statistics, from 1, of `count` independent values that the quantile lies between.
std::optional<std::pair<double, double>> ranks_around(int count, double q) {
  const double n = count;
  if (count > kExact) {
    const double half = kNormal * std::sqrt(n * q * (1 - q));
    return std::pair{std::floor(n * q - half), std::ceil(n * q + half) + 1};
  }
  int low = 0;
  double below = 0;  // probability that at most k values lie below the quantile
  for (int k = 0; k < count; ++k) {
    below += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1) +
                      k * std::log(q) + (n - k) * std::log(1 - q));
    if (below <= 0.025) low = k + 1;
    if (below < 0.975) continue;
    if (low < 1) return std::nullopt;
    return std::pair<double, double>{low, k + 1};
  }
  return std::nullopt;
}

}  // namespace

StepBlocks::StepBlocks(std::span<const std::int64_t> block) {
  for (std::size_t step = 0; step < block.size(); ++step) {
    if (step == 0 || block[step] != block[step - 1]) sizes_.push_back(0);
    ++sizes_.back();
  }
}

std::vector<double> StepBlocks::sums(std::span<const double> values) const {
  std::vector<double> sums;
  auto at = values.begin();
  for (const std::size_t size : sizes_) {
    const auto end = at + static_cast<std::ptrdiff_t>(size);
    sums.push_back(std::accumulate(at, end, 0.0));
    at = end;
  }
  return sums;
}

std::vector<double> StepBlocks::means(std::span<const double> values) const {
  std::vector<double> means = sums(values);
  for (std::size_t i = 0; i < means.size(); ++i) means[i] /= static_cast<double>(sizes_[i]);
  return means;
}

std::optional<Interval> mean_interval(std::span<const double> values, const StepBlocks& blocks,
                                      double usual) {
  if (!known(values, blocks)) return std::nullopt;
  const double middle = sum(values) / static_cast<double>(values.size());
  std::vector<double> rest(values.begin(), values.end());
  for (double& value : rest) value -= middle;
  Interval found = around(middle, rest, blocks);
  found.high += kUnseen * usual / static_cast<double>(values.size());
  return found;
}

std::optional<Interval> ratio_interval(std::span<const double> part, std::span<const double> whole,
                                       const StepBlocks& blocks, double usual) {
  if (!known(part, blocks) || !known(whole, blocks) || sum(whole) <= 0) return std::nullopt;
  const double mean = sum(whole) / static_cast<double>(whole.size());
  const double ratio = sum(part) / sum(whole);
  std::vector<double> rest;
  for (std::size_t i = 0; i < part.size(); ++i) rest.push_back((part[i] - ratio * whole[i]) / mean);
  const Interval found = around(ratio, rest, blocks);
  const double delay = kUnseen * usual / sum(whole);
  return Interval{std::max(0.0, found.low - ratio * delay),
                  std::min(1.0, found.high + (1 - ratio) * delay)};
}

std::optional<Interval> quantile_interval(std::span<const double> values, const StepBlocks& blocks,
                                          double q) {
  const auto n = static_cast<double>(values.size());
  // A billionth more: 0.9 and 0.99 are no binary fractions.
  const double beyond = n * (1 - q) + 1e-9;
  const double blocks_beyond = static_cast<double>(blocks.count()) * (1 - q) + 1e-9;
  if (n < kLeastSteps || beyond < kLeastBeyond || blocks_beyond < kLeastBlocksBeyond ||
      !known(values, blocks)) {
    return std::nullopt;
  }
  const int count = independent_steps(values, blocks);
  const auto ranks = ranks_around(count, q);
  if (!ranks) return std::nullopt;
  const double scale = (n + 1) / (count + 1.0);
  const double low = std::floor(ranks->first * scale), high = std::ceil(ranks->second * scale);
  if (low < 1 || high > n) return std::nullopt;
  std::vector<double> ordered(values.begin(), values.end());
  std::ranges::sort(ordered);
  return Interval{ordered[static_cast<std::size_t>(low) - 1],
                  ordered[static_cast<std::size_t>(high) - 1]};
}

std::optional<Interval> proportion_interval(std::span<const double> shares, int of,
                                            const StepBlocks& blocks, int together) {
  if (!known(shares, blocks)) return std::nullopt;
  const auto steps = static_cast<double>(shares.size());
  const double p = sum(shares) / steps;
  std::vector<double> rest(shares.begin(), shares.end());
  for (double& value : rest) value -= p;
  const double likeness = alike(blocks.means(rest));  // bounded, so nothing needs cutting
  const double variance = variance_of_mean(rest, blocks) * likeness;
  // If all steps are the same their spread is unknown: a block counts once.
  const double n = variance > 1e-24 ? std::min(steps * of, p * (1 - p) / variance)
                                    : static_cast<double>(blocks.count()) / likeness;
  const double t = student_quantile(freedom(blocks, likeness), 1 - 0.025 / together);
  const double spread = t * t / n;
  const double middle = (p + spread / 2) / (1 + spread);
  const double half = std::sqrt(p * (1 - p) * spread + spread * spread / 4) / (1 + spread);
  return Interval{std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace gembench::inline statistics
