#include "placement/speeds/profile_samples.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// How often `low`-th to `high`-th smallest of n readings hold the median, by trying every way in
/// which n readings can lie below or above it.
double coverage(int n, int low, int high) {
  int held = 0;
  for (unsigned below = 0; below < 1U << n; ++below) {
    const int count = __builtin_popcount(below);
    held += count > low && count <= high;
  }
  return static_cast<double>(held) / static_cast<double>(1U << n);
}

TEST(MedianInterval, is_the_narrowest_symmetric_one_that_holds_95_percent) {
  for (int n = Median::kLeastReadings; n <= 18; ++n) {
    std::vector<double> readings(static_cast<std::size_t>(n));
    std::iota(readings.begin(), readings.end(), 0.0);
    std::rotate(readings.begin(), readings.begin() + 2, readings.end());
    const Median median = median_of(readings);
    EXPECT_DOUBLE_EQ(median.value, (n - 1) / 2.0);
    EXPECT_EQ(median.readings, n);
    const int low = static_cast<int>(median.low), high = static_cast<int>(median.high);
    EXPECT_EQ(low, n - 1 - high);
    EXPECT_GE(coverage(n, low, high), 0.95) << n;
    EXPECT_LT(coverage(n, low + 1, high - 1), 0.95) << n;
  }
}

TEST(MedianInterval, of_many_readings_agrees_with_the_normal_approximation) {
  std::vector<double> readings(200);
  std::iota(readings.begin(), readings.end(), 0.0);
  const Median median = median_of(readings);
  EXPECT_NEAR(median.low, 100 - 1.96 * std::sqrt(200) / 2, 1.5);
  EXPECT_NEAR(median.half_width(), 0.14, 0.01);
}

TEST(MedianInterval, of_more_readings_than_a_power_of_two_can_count_ends) {
  std::vector<double> readings(4001);  // 2^-4001 is 0
  std::iota(readings.begin(), readings.end(), 0.0);
  const Median median = median_of(readings);
  EXPECT_EQ(median.value, 2000);
  EXPECT_NEAR(median.high - median.low, 2 * 1.96 * std::sqrt(4001.) / 2, 4);
}

TEST(MedianInterval, few_readings_are_never_tight) {
  const Median five = median_of({3, 3, 3, 3, 3});
  EXPECT_EQ(five.low, 3);
  EXPECT_TRUE(std::isinf(five.half_width()));
  EXPECT_EQ(median_of({3, 3, 3, 3, 3, 3}).half_width(), 0);
  EXPECT_EQ(median_of({kNone, 2, kNone}).value, 2);
  EXPECT_EQ(median_of({kNone, 2, kNone}).readings, 1);
  EXPECT_TRUE(std::isnan(median_of({}).value));
  EXPECT_TRUE(std::isinf(median_of({0, 0, 0, 0, 0, 0, 0}).half_width())) << "no share of nothing";
}

TEST(Outliers, are_far_from_the_median_in_median_deviations) {
  // Median 10, median deviation 1: 3.5 / 0.6745 = 5.19 away.
  const std::vector<double> readings = {9, 10, 11, kNone, 15.1, 15.3, 9, 11, 10, 4.9, 10, 4.6};
  const auto far = outliers_of(readings);
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < far.size(); ++i)
    if (far[i]) which.push_back(i);
  EXPECT_EQ(which, (std::vector<std::size_t>{5, 11}));
  EXPECT_EQ(median_of(readings).outliers, 2);
  EXPECT_EQ(median_of({1, 1, 1, 1, 9}).outliers, 0) << "most are equal: nothing to measure by";
}

TEST(ProfileSamples, are_taken_by_rank_point_and_rounds) {
  ProfileSamples samples;
  samples.ranks = 2;
  samples.points = 2;
  samples.rounds = 3;
  samples.seconds = {1, kNone, 2, 3, 4, 5, 6, 7, 8, kNone, kNone, kNone};
  EXPECT_EQ(samples.of(0, 0), (std::vector<double>{1, 2}));
  EXPECT_EQ(samples.of(1, 0), (std::vector<double>{6, 7, 8}));
  EXPECT_EQ(samples.of(0, 1, 1, 3), (std::vector<double>{4, 5}));
  EXPECT_TRUE(samples.of(1, 1).empty());
}

}  // namespace
}  // namespace gembench
