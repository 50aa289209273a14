#include "harness/run/stop_rule.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

/// Blocks of one step on two ranks; the second placement is `effect` faster, with this noise.
void measure(StopWatch& watch, int from, int to, double effect, double noise) {
  for (int block = from; block < to; ++block) {
    Random random(fold(static_cast<std::uint64_t>(block), 7));
    const double shared = 1 + random.uniform();
    for (int placement = 0; placement < 2; ++placement) {
      const double own =
          shared * (placement == 1 ? 1 + effect : 1) * std::exp(noise * (random.uniform() - 0.5));
      watch.add({placement, block, 1, block}, {0.5 * own, own}, 2);
    }
  }
}

TEST(StopRule, intervals_are_looked_at_few_times_and_not_too_early) {
  std::vector<int> found;
  for (int blocks = 1; blocks <= 100; ++blocks) {
    if (is_checkpoint(blocks, blocks)) found.push_back(blocks);
  }
  EXPECT_EQ(found, (std::vector<int>{24, 32, 48, 64, 96}));
  EXPECT_TRUE(is_checkpoint(6, 48));
  EXPECT_FALSE(is_checkpoint(5, 40));
  EXPECT_FALSE(is_checkpoint(7, 56));
}

TEST(StopRule, ends_when_every_interval_is_narrow_enough) {
  StopWatch watch({0.02, 0}, 2);
  measure(watch, 0, 24, -0.1, 0.01);
  ASSERT_TRUE(watch.widest());
  EXPECT_LT(*watch.widest(), 0.02);
  const auto why = watch.ends(24, 1);
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("--precision 2 asks"), std::string::npos) << *why;
}

TEST(StopRule, goes_on_while_it_is_not_and_between_checkpoints) {
  StopWatch noisy({0.02, 0}, 2);
  measure(noisy, 0, 24, -0.1, 0.5);
  EXPECT_GT(*noisy.widest(), 0.02);
  EXPECT_FALSE(noisy.ends(24, 1));
  StopWatch quiet({0.02, 0}, 2);
  measure(quiet, 0, 25, -0.1, 0.01);
  EXPECT_LT(*quiet.widest(), 0.02);
  EXPECT_FALSE(quiet.ends(25, 1)) << "25 is no checkpoint";
}

TEST(StopRule, ends_when_the_time_is_up_whatever_is_known) {
  StopWatch watch({0.02, 10}, 2);
  measure(watch, 0, 3, -0.1, 0.5);
  EXPECT_FALSE(watch.ends(3, 9.9));
  const auto why = watch.ends(3, 10.2);
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("--max-seconds 10"), std::string::npos) << *why;
}

TEST(StopRule, without_rules_it_never_ends) {
  StopWatch watch({}, 2);
  measure(watch, 0, 24, -0.1, 0);
  EXPECT_FALSE(watch.ends(24, 1e9));
}

}  // namespace
}  // namespace gembench
