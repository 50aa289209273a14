#include "harness/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "placement/random.hpp"

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
    // Drift differs a little between the turns of one block: that is what blocks must carry.
    const double drift = 1 + 0.1 * normal(), turn = 1 + 0.01 * normal();
    for (int step = 0; step < steps; ++step) {
      pair.a.push_back(drift * (1 + 0.02 * normal()));
      pair.b.push_back(drift * turn * (1 + effect) * (1 + 0.02 * normal()));
      pair.block.push_back(block);
    }
  }
  return pair;
}

TEST(PairedDifference, intervals_cover_the_truth_about_as_often_as_they_say) {
  for (const int blocks : {6, 12}) {
    int covered = 0;
    const int runs = 200;
    for (int run = 0; run < runs; ++run) {
      const Pair pair = simulate(blocks, 8, -0.05, static_cast<std::uint64_t>(run));
      const Difference d = paired_difference(pair.a, pair.b, pair.block);
      ASSERT_TRUE(d.low && d.high);
      EXPECT_LE(*d.low, d.mean);
      EXPECT_GE(*d.high, d.mean);
      covered += *d.low <= -0.05 && -0.05 <= *d.high ? 1 : 0;
    }
    EXPECT_GE(covered, runs * 88 / 100) << blocks << " blocks";
  }
}

TEST(PairedDifference, a_shared_drift_cancels) {
  const std::vector<double> a{1, 1, 5, 5, 2, 3, 4, 1}, b{0.9, 0.9, 4.5, 4.5, 1.8, 2.7, 3.6, 0.9};
  const Difference d = paired_difference(a, b, {0, 0, 1, 1, 2, 3, 4, 5});
  EXPECT_NEAR(d.mean, -0.1, 1e-12);
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
