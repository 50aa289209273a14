#include "placement/speeds/profile_samples.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "placement/base/statistics.hpp"

namespace gembench::inline speeds {
namespace {

constexpr double kConfidence = 0.95;
constexpr double kOutlying = 3.5;
constexpr double kMadOfNormal = 0.6745;  // its median absolute deviation by its deviation

/// How many readings to drop at each end: the most with which the median is still inside in
/// kConfidence of cases. One is below the median with probability 1/2, so that the count below is
/// binomial.
std::size_t dropped(std::size_t n) {
  const auto size = static_cast<double>(n);
  // Of exactly `below` readings below the median; its logarithm, since 2^-1075 is 0.
  double log_chance = -size * std::log(2.0);
  double outside = 0;
  std::size_t below = 0;
  for (; 2 * below < n; ++below) {
    outside += std::exp(log_chance);
    if (2 * outside > 1 - kConfidence) break;
    log_chance += std::log((size - static_cast<double>(below)) / (static_cast<double>(below) + 1));
  }
  return below == 0 ? 0 : below - 1;
}

}  // namespace

std::vector<double> ProfileSamples::of(int rank, std::size_t point, std::size_t first,
                                       std::size_t last) const {
  const auto* row = seconds.data() + (static_cast<std::size_t>(rank) * points + point) * rounds;
  std::vector<double> measured;
  std::copy_if(row + first, row + last, std::back_inserter(measured),
               [](double value) { return !std::isnan(value); });
  return measured;
}

double Median::half_width() const {
  if (readings < kLeastReadings || !(value > 0)) return std::numeric_limits<double>::infinity();
  return (high - low) / 2 / value;
}

std::vector<bool> outliers_of(const std::vector<double>& readings) {
  std::vector<double> known, distance;
  std::copy_if(readings.begin(), readings.end(), std::back_inserter(known),
               [](double value) { return !std::isnan(value); });
  const double middle = quantile(known, 0.5);
  for (const double value : known) distance.push_back(std::abs(value - middle));
  const double deviation = quantile(distance, 0.5) / kMadOfNormal;
  std::vector<bool> far;
  for (const double value : readings)
    far.push_back(deviation > 0 && std::abs(value - middle) > kOutlying * deviation);
  return far;
}

Median median_of(std::vector<double> readings) {
  std::erase_if(readings, [](double value) { return std::isnan(value); });
  Median median;
  median.readings = static_cast<int>(readings.size());
  median.value = quantile(readings, 0.5);
  if (readings.empty()) {
    median.low = median.high = median.value;
    return median;
  }
  std::sort(readings.begin(), readings.end());
  const std::size_t cut = dropped(readings.size());
  median.low = readings[cut];
  median.high = readings[readings.size() - 1 - cut];
  const auto far = outliers_of(readings);
  median.outliers = static_cast<int>(std::count(far.begin(), far.end(), true));
  return median;
}

}  // namespace gembench::inline speeds
