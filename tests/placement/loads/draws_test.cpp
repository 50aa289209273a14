#include <cmath>
#include <numeric>

#include "placement/loads/draws.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

TEST(Draws, ElementaryFunctionsAgreeWithLibm) {
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const double x = 20 * random.uniform() - 10;
    EXPECT_NEAR(exponential(x) / std::exp(x), 1, 1e-13) << x;
    EXPECT_NEAR(exponential(4 * x) / std::exp(4 * x), 1, 1e-10) << 4 * x;
    const double y = std::exp(60 * random.uniform() - 30);
    EXPECT_NEAR(logarithm(y), std::log(y), 1e-13) << y;
  }
  EXPECT_EQ(logarithm(1), 0);
  EXPECT_EQ(exponential(0), 1);
  EXPECT_DOUBLE_EQ(power(3, 13), 1594323);
}

TEST(Draws, BinomialHasItsMoments) {
  Random random(2);
  for (const int n : {1, 7, 60, 5000})
    for (const double p : {0.0, 0.001, 0.05, 0.5, 0.97, 1.0}) {
      double mean = 0;
      double square = 0;
      const int draws = 20000;
      for (int i = 0; i < draws; ++i) {
        const auto k = binomial(random, n, p);
        ASSERT_GE(k, 0);
        ASSERT_LE(k, n);
        mean += (k - n * p) / draws;
        square += std::pow(k - n * p, 2) / draws;
      }
      const double variance = n * p * (1 - p);
      EXPECT_NEAR(mean, 0, 5 * std::sqrt(variance / draws) + 1e-9) << n << " " << p;
      EXPECT_NEAR(square, variance, 0.2 * variance + 0.002) << n << " " << p;
    }
}

TEST(Draws, SpreadTopkIsProportionalWithACap) {
  std::vector<double> share(4);
  std::vector<double> weight{1, 2, 3, 4};
  spread_topk(weight, 1, share);
  EXPECT_DOUBLE_EQ(share[0], 0.1);
  EXPECT_DOUBLE_EQ(share[3], 0.4);
  weight = {1, 1, 1, 97};
  spread_topk(weight, 2, share);
  EXPECT_DOUBLE_EQ(share[3], 1);
  for (std::size_t e = 0; e < 3; ++e) EXPECT_NEAR(share[e], 1.0 / 3, 1e-12);
}

TEST(Draws, RepairReachesEveryPossibleSum) {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    const auto size = 1 + random.below(9);
    const auto limit = std::int32_t(1 + random.below(20));
    std::vector<std::int32_t> counts(size);
    std::vector<double> weight(size);
    for (auto& count : counts) count = std::int32_t(random.below(std::uint64_t(limit) + 1));
    for (auto& w : weight) w = random.below(3) == 0 ? 0 : random.uniform();
    const auto target = std::int64_t(random.below(size * std::uint64_t(limit) + 1));
    repair(counts, weight, target, limit, random);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}), target);
    for (auto count : counts) {
      EXPECT_GE(count, 0);
      EXPECT_LE(count, limit);
    }
  }
}

}  // namespace
}  // namespace gembench
