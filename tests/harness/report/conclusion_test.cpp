#include "harness/report/conclusion.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

namespace gembench {
namespace {

Difference between(double low, double high) {
  Difference d;
  d.typical = (low + high) / 2;
  d.low = low;
  d.high = high;
  return d;
}

TEST(Conclusion, an_interval_within_the_precision_bounds_the_difference_already) {
  EXPECT_EQ(times_longer(between(-0.012, 0.019), 0.02), 1);
}

TEST(Conclusion, a_run_as_long_as_is_said_would_decide_it) {
  for (const auto& [low, high] :
       {std::pair{-0.05, 0.03}, {-0.30, 0.02}, {-0.033, 0.003}, {-0.04, 0.04}, {-0.021, 0.001}}) {
    const Difference d = between(low, high);
    const double times = times_longer(d, 0.02);
    EXPECT_GT(times, 1);
    const double half = (high - low) / 2 / std::sqrt(times);  // at the same noise
    const bool off_zero = half < std::abs(d.typical);
    const bool bounded = std::abs(d.typical) + half <= 0.02;
    EXPECT_TRUE(off_zero || bounded) << low << " " << high;
  }
}

TEST(Conclusion, a_difference_of_nothing_takes_until_it_is_bounded) {
  EXPECT_NEAR(times_longer(between(-0.06, 0.06), 0.02), 1.2 * 9, 1e-9);
}

}  // namespace
}  // namespace gembench
