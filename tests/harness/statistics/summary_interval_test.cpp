#include "harness/statistics/summary_interval.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/statistics/interval.hpp"
#include "placement/base/random.hpp"

namespace gembench {
namespace {

std::vector<double> uniform(int n, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(random.uniform());
  return values;
}

StepBlocks blocks_of(int n, int block = 1) {
  std::vector<std::int64_t> of;
  for (int step = 0; step < n; ++step) of.push_back(step / block);
  return StepBlocks(of);
}

double width(const std::optional<Interval>& interval) {
  return interval ? interval->high - interval->low : INFINITY;
}

// How often intervals hold the truth is measured by tests/bench/coverage.py.

TEST(StepBlocks, are_runs_of_the_same_number) {
  const std::vector<std::int64_t> of{3, 3, 5, 5, 5, 9};
  const StepBlocks blocks(of);
  EXPECT_EQ(blocks.count(), 3u);
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(blocks.sums(values), (std::vector<double>{3, 12, 6}));
  EXPECT_EQ(blocks.means(values), (std::vector<double>{1.5, 4, 6}));
}

TEST(MeanInterval, is_students_where_steps_alternate_and_its_upper_end_allows_for_one_more_delay) {
  const std::vector<double> values{1, 3, 1, 3, 1, 3, 1, 3, 1, 3};  // never alike
  const auto found = mean_interval(values, blocks_of(10), 2);
  ASSERT_TRUE(found);
  const double half = student_quantile(9, 0.975) * std::sqrt(10.0 / 9) / std::sqrt(10.0);
  EXPECT_NEAR(found->low, 2 - half, 1e-12);
  EXPECT_NEAR(found->high, 2 + half + 2 * 2.0 / 10, 1e-12);
}

TEST(MeanInterval, takes_six_blocks_and_known_values) {
  for (const int n : {1, 2, 5, 6, 7}) {
    EXPECT_EQ(mean_interval(uniform(n, 1), blocks_of(n), 0.5).has_value(), n >= 6) << n;
  }
  EXPECT_FALSE(mean_interval({}, blocks_of(0), NAN));
  EXPECT_FALSE(mean_interval(uniform(40, 1), blocks_of(40, 8), 0.5));
  auto values = uniform(40, 1);
  values[7] = NAN;
  EXPECT_FALSE(mean_interval(values, blocks_of(40), 0.5));
}

TEST(MeanInterval, is_wider_where_steps_are_alike) {
  auto sorted = uniform(40, 3);
  const auto mixed = mean_interval(sorted, blocks_of(40), 0);
  std::ranges::sort(sorted);
  EXPECT_GT(width(mean_interval(sorted, blocks_of(40), 0)), 1.5 * width(mixed));
  EXPECT_GT(width(mean_interval(sorted, blocks_of(40, 5), 0)), 1.5 * width(mixed));
}

TEST(RatioInterval, of_a_fixed_share_has_no_width_but_for_the_delay) {
  const auto whole = uniform(12, 5);
  auto part = whole;
  for (double& value : part) value *= 0.25;
  const double mean = std::accumulate(whole.begin(), whole.end(), 0.0) / 12;
  const auto found = ratio_interval(part, whole, blocks_of(12), 0.5);
  ASSERT_TRUE(found);
  const double delay = 2 * 0.5 / mean / 12;  // a part of nothing, or all of it
  EXPECT_NEAR(found->low, 0.25 - 0.25 * delay, 1e-12);
  EXPECT_NEAR(found->high, 0.25 + 0.75 * delay, 1e-12);
}

TEST(RatioInterval, stays_a_share) {
  const std::vector<double> whole(8, 1.0), none(8, 0.0);
  const auto all = ratio_interval(whole, whole, blocks_of(8), 1);
  ASSERT_TRUE(all);
  EXPECT_LE(all->high, 1);
  EXPECT_EQ(ratio_interval(none, whole, blocks_of(8), 1)->low, 0);
  EXPECT_FALSE(ratio_interval(none, none, blocks_of(8), 1));
}

TEST(QuantileInterval, ends_at_order_statistics_by_the_binomial_distribution) {
  // Up and down, so that neighbours are unlike and every step counts.
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(i % 2 == 0 ? i / 2 : 99 - i / 2);
  const auto median = quantile_interval(values, blocks_of(100), 0.5);
  ASSERT_TRUE(median);  // ranks 40 and 61 of 100: tables of the binomial distribution
  EXPECT_EQ(median->low, 39);
  EXPECT_EQ(median->high, 60);
  const auto p90 = quantile_interval(values, blocks_of(100), 0.9);
  ASSERT_TRUE(p90);
  EXPECT_EQ(p90->low, 83);
  EXPECT_EQ(p90->high, 95);
  EXPECT_FALSE(quantile_interval(values, blocks_of(100), 0.99));
}

TEST(QuantileInterval, is_there_from_as_many_steps_as_it_takes) {
  const auto there = [](int n, double q, int block = 1) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back(i % 2 == 0 ? i : -i);
    return quantile_interval(values, blocks_of(n, block), q).has_value();
  };
  EXPECT_FALSE(there(23, 0.5));
  EXPECT_TRUE(there(24, 0.5));
  EXPECT_FALSE(there(69, 0.9));
  EXPECT_TRUE(there(70, 0.9));
  EXPECT_FALSE(there(72, 0.9, 4)) << "18 blocks";
  EXPECT_TRUE(there(96, 0.9, 4));
  EXPECT_FALSE(there(699, 0.99));
  EXPECT_TRUE(there(700, 0.99));
  EXPECT_TRUE(there(20000, 0.99)) << "by the normal distribution";
}

TEST(ProportionInterval, of_what_never_or_always_is_does_not_claim_to_know) {
  const std::vector<double> never(20, 0.0), always(20, 1.0);
  const auto low = proportion_interval(never, 8, blocks_of(20), 1);
  const auto high = proportion_interval(always, 8, blocks_of(20), 1);
  ASSERT_TRUE(low && high);
  EXPECT_NEAR(low->low, 0, 1e-12);
  EXPECT_GT(low->high, 0.1);
  EXPECT_NEAR(high->low, 1 - low->high, 1e-12);
  EXPECT_NEAR(high->high, 1, 1e-12);
}

TEST(ProportionInterval, layers_that_agree_tell_less_and_several_ranks_ask_for_more) {
  Random random(3);
  std::vector<double> alike, apart;
  for (int step = 0; step < 40; ++step) {
    alike.push_back(random.uniform() < 0.5 ? 1 : 0);
    apart.push_back(step % 2 == 0 ? 0.375 : 0.625);
  }
  EXPECT_GT(width(proportion_interval(alike, 8, blocks_of(40), 1)),
            2 * width(proportion_interval(apart, 8, blocks_of(40), 1)));
  EXPECT_GT(width(proportion_interval(alike, 8, blocks_of(40), 8)),
            1.3 * width(proportion_interval(alike, 8, blocks_of(40), 1)));
  EXPECT_FALSE(proportion_interval(std::vector<double>(5, 0.5), 8, blocks_of(5), 1));
}

}  // namespace
}  // namespace gembench
