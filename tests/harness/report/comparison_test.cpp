#include "harness/report/comparison.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

/// Step times of two placements in blocks, with a drift that both share and noise of their own.
struct Pair {
  std::vector<double> a, b;
  std::vector<std::int64_t> block;
};
Pair simulate(int blocks, int steps, double effect, std::uint64_t seed) {
  Random random(seed);
  const auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    return sum;
  };
  Pair pair;
  for (int block = 0; block < blocks; ++block) {
    // Drift differs a little between the segments of one block: that is what blocks must carry.
    const double drift = 1 + 0.1 * normal(), segment = 1 + 0.01 * normal();
    for (int step = 0; step < steps; ++step) {
      pair.a.push_back(drift * (1 + 0.02 * normal()));
      pair.b.push_back(drift * segment * (1 + effect) * (1 + 0.02 * normal()));
      pair.block.push_back(block);
    }
  }
  return pair;
}

/// The median of the means of all pairs of log ratios, the slow and plain way.
double hodges_lehmann(const Pair& pair) {
  std::vector<double> means;
  for (std::size_t i = 0; i < pair.a.size(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      means.push_back(std::log(pair.b[i] / pair.a[i] * pair.b[j] / pair.a[j]) / 2);
    }
  }
  std::ranges::sort(means);
  const std::size_t half = means.size() / 2;
  return std::expm1(means.size() % 2 ? means[half] : (means[half - 1] + means[half]) / 2);
}

// How often intervals hold the truth is measured by tests/bench/coverage.py.
TEST(PairedDifference, typical_is_hodges_lehmann_inside_its_interval) {
  for (const int pairs : {6, 7, 12, 41}) {
    const Pair pair = simulate(pairs, 1, -0.05, static_cast<std::uint64_t>(pairs));
    const Difference d = paired_difference(pair.a, pair.b, pair.block);
    EXPECT_NEAR(d.typical, hodges_lehmann(pair), 1e-12);
    ASSERT_TRUE(d.low && d.high);
    EXPECT_LE(*d.low, d.typical);
    EXPECT_GE(*d.high, d.typical);
  }
}

TEST(PairedDifference, a_disturbed_step_pulls_the_mean_and_not_the_typical_difference) {
  Pair pair = simulate(24, 1, -0.2, 3);
  const Difference before = paired_difference(pair.a, pair.b, pair.block);
  pair.b[7] *= 50;
  const Difference after = paired_difference(pair.a, pair.b, pair.block);
  EXPECT_GT(after.mean, 1);
  EXPECT_NEAR(after.typical, before.typical, 0.01);
  EXPECT_LT(*after.high, 0);
}

TEST(PairedDifference, intervals_widen_for_pairs_that_are_alike_and_for_several_comparisons) {
  std::vector<double> apart, alike;  // the same values, in another order
  for (int i = 0; i < 40; ++i) {
    apart.push_back(i % 2 == 0 ? -0.1 + 0.001 * i : 0.1 - 0.001 * i);
    alike.push_back(0);
  }
  alike = apart;
  std::ranges::sort(alike);
  const auto width = [](const Difference& d) { return *d.high - *d.low; };
  EXPECT_GT(width(typical_difference(alike)), 1.8 * width(typical_difference(apart)));
  EXPECT_GT(width(typical_difference(apart, 3)), 1.1 * width(typical_difference(apart)));
}

TEST(PairedDifference, many_pairs_are_pooled_in_order) {
  const Pair pair = simulate(3000, 1, -0.1, 9);
  const Difference d = paired_difference(pair.a, pair.b, pair.block);
  EXPECT_EQ(d.blocks, 3000);
  EXPECT_LT(*d.low, -0.1);
  EXPECT_GT(*d.high, -0.1);
  EXPECT_LT(*d.high - *d.low, 0.01);
}

TEST(PairedDifference, a_shared_drift_cancels) {
  const std::vector<double> a{1, 1, 5, 5, 2, 3, 4, 1}, b{0.9, 0.9, 4.5, 4.5, 1.8, 2.7, 3.6, 0.9};
  const Difference d = paired_difference(a, b, {0, 0, 1, 1, 2, 3, 4, 5});
  EXPECT_NEAR(d.mean, -0.1, 1e-12);
  EXPECT_NEAR(d.typical, -0.1, 1e-12);
  EXPECT_NEAR(*d.low, -0.1, 1e-12);
  EXPECT_NEAR(*d.high, -0.1, 1e-12);
}

TEST(PairedDifference, leaves_out_what_was_not_measured) {
  const std::vector<double> a{1, 1, NAN, 1}, b{2, NAN, 2, 2};
  const Difference d = paired_difference(a, b, {0, 0, 0, -1});
  EXPECT_EQ(d.blocks, 1);
  EXPECT_DOUBLE_EQ(d.mean, 1.0);
  EXPECT_FALSE(d.low);
}

TEST(PairedDifference, below_six_blocks_there_is_no_interval_however_large_the_difference) {
  for (const int blocks : {1, 2, 3, 4, 5, 6, 7}) {
    const Pair pair = simulate(blocks, 8, -0.5, 1);
    const Difference d = paired_difference(pair.a, pair.b, pair.block);
    EXPECT_EQ(d.blocks, blocks);
    EXPECT_LT(d.mean, -0.3);
    EXPECT_EQ(d.low.has_value(), blocks >= 6) << blocks;
    EXPECT_EQ(d.high.has_value(), blocks >= 6) << blocks;
  }
}

}  // namespace
}  // namespace gembench
