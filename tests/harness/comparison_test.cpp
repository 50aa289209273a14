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
  for (const int blocks : {3, 5, 12}) {
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
    // Percentile intervals of so few blocks are known to fall short of 95 %, worst with three.
    EXPECT_GE(covered, runs * (blocks == 3 ? 65 : 85) / 100) << blocks << " blocks";
  }
}

TEST(PairedDifference, a_shared_drift_cancels) {
  const std::vector<double> a{1, 1, 5, 5}, b{0.9, 0.9, 4.5, 4.5};
  const Difference d = paired_difference(a, b, {0, 0, 1, 1});
  EXPECT_NEAR(d.mean, -0.1, 1e-12);
  EXPECT_NEAR(*d.low, -0.1, 1e-12);
  EXPECT_NEAR(*d.high, -0.1, 1e-12);
}

TEST(PairedDifference, leaves_out_what_was_not_measured_and_needs_two_blocks) {
  const std::vector<double> a{1, 1, NAN, 1}, b{2, NAN, 2, 2};
  const Difference d = paired_difference(a, b, {0, 0, 0, -1});
  EXPECT_EQ(d.blocks, 1);
  EXPECT_DOUBLE_EQ(d.mean, 1.0);
  EXPECT_FALSE(d.low);
}

}  // namespace
}  // namespace gembench
