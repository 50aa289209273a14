#include "harness/statistics/slowness.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "harness/statistics/interval.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "placement/base/statistics.hpp"

namespace gembench {
namespace {

using Readings = std::vector<std::vector<double>>;  // [rank][round]

double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

/// Ranks of one speed that drift together; `noise`: of a rank's log time, after the one before.
Readings quiet(int ranks, int rounds, const std::function<double(int rank, double last)>& noise) {
  Readings readings(sz(ranks));
  std::vector<double> last(sz(ranks), 0);
  for (int round = 0; round < rounds; ++round) {
    const double shared = 0.3 * std::sin(round / 7.);
    for (int rank = 0; rank < ranks; ++rank) {
      last[sz(rank)] = noise(rank, last[sz(rank)]);
      readings[sz(rank)].push_back(1e-3 * std::exp(shared + last[sz(rank)]));
    }
  }
  return readings;
}

void slow_down(std::vector<double>& seconds, double factor) {
  for (double& value : seconds) value *= factor;
}

bool any_slow(const std::vector<Slowness>& found) {
  return std::ranges::any_of(found, [](const Slowness& one) { return one.slow; });
}

/// Binomial: fewer than `below` of `count`, each with 1/2.
double fewer(int below, int count) {
  double sum = 0;
  for (int k = 0; k < below; ++k)
    sum += std::exp(std::lgamma(count + 1) - std::lgamma(k + 1) - std::lgamma(count - k + 1)) *
           std::ldexp(1.0, -count);
  return sum;
}

TEST(Slowness, estimates_and_bounds_are_those_of_plain_code) {
  Random random(3);
  for (const int ranks : {2, 3, 4, 7}) {
    for (const int rounds : {20, 48, 131}) {
      Readings readings = quiet(ranks, rounds, [&](int, double) { return 0.05 * normal(random); });
      readings[0][4] = NAN;  // a round without a reading
      readings[1][9] = 0;
      const auto found = slower_than_others(readings, {0.05, 4});
      for (int rank = 0; rank < ranks; ++rank) {
        std::vector<double> ratios;
        for (int round = 0; round < rounds; ++round) {
          if (round == 4 || round == 9) continue;
          std::vector<double> others;
          for (int other = 0; other < ranks; ++other)
            if (other != rank) others.push_back(std::log(readings[sz(other)][sz(round)]));
          ratios.push_back(std::log(readings[sz(rank)][sz(round)]) - quantile(others, 0.5));
        }
        const std::size_t blocks = std::min<std::size_t>(48, ratios.size());
        std::vector<double> medians;
        for (std::size_t block = 0; block < blocks; ++block) {
          std::vector<double> part;
          for (std::size_t i = block * ratios.size() / blocks;
               i < (block + 1) * ratios.size() / blocks; ++i)
            part.push_back(ratios[i]);
          medians.push_back(quantile(part, 0.5));
        }
        std::ranges::sort(medians);
        EXPECT_NEAR(found[sz(rank)].slower, std::expm1(quantile(medians, 0.5)), 1e-12);
        // Independent blocks have the sign test's bound, and fewer independent ones a lower one.
        int below = 0;
        while (fewer(below + 1, static_cast<int>(blocks)) <= kFalseAccusation / 4) ++below;
        ASSERT_GT(below, 0);
        if (std::isnan(found[sz(rank)].certain)) continue;  // of 18 rounds that are alike
        EXPECT_LE(found[sz(rank)].certain, std::expm1(medians[sz(below) - 1]) + 1e-12);
        EXPECT_LE(found[sz(rank)].low, found[sz(rank)].slower);
        EXPECT_GE(found[sz(rank)].high, found[sz(rank)].slower);
      }
    }
  }
}

TEST(Slowness, nobody_is_accused_whatever_the_noise) {
  Random random(5);
  const auto heavy = [&](int, double) {  // Student's t with 3 degrees of freedom
    double square = 0;
    for (int i = 0; i < 3; ++i) square += std::pow(normal(random), 2);
    return 0.02 * normal(random) / std::sqrt(square / 3);
  };
  const std::function<double(int, double)> kinds[] = {
      [&](int, double) { return 0.02 * normal(random); }, heavy,
      [&](int, double last) { return 0.5 * last + 0.02 * normal(random); },
      [&](int rank, double) { return (rank == 0 ? 0.1 : 0.02) * normal(random); },
      [&](int, double) { return -0.02 * std::log(1 - random.uniform()); }};
  constexpr int kCases = 150;
  for (const auto& kind : kinds) {
    int accused = 0;
    for (int i = 0; i < kCases; ++i) {
      const Readings readings = quiet(i % 2 == 0 ? 2 : 6, i % 3 == 0 ? 48 : 120, kind);
      // Any difference at all counts: the noise has no help from the limit.
      const SlownessQuestion question{0, readings.size()};
      accused += any_slow(slower_than_others(readings, question)) ? 1 : 0;
    }
    EXPECT_LE(accused, 4) << &kind - kinds;  // 1 % would be 1.5
  }
}

TEST(Slowness, what_it_says_to_find_it_finds) {
  Random random(7);
  int found = 0, of = 0;
  for (int i = 0; i < 200; ++i) {
    const auto noise = [&](int, double) { return 0.03 * normal(random); };
    const auto resolution = slower_than_others(quiet(4, 100, noise), {0.05, 4})[1];
    Readings readings = quiet(4, 100, noise);
    slow_down(readings[1], 1 + resolution.resolution);
    ++of;
    found += slower_than_others(readings, {0.05, 4})[1].slow ? 1 : 0;
  }
  EXPECT_GT(found, 0.85 * of);
}

TEST(Slowness, the_limit_itself_is_found_and_half_of_it_is_not) {
  Random random(9);
  int at_limit = 0, at_half = 0;
  for (int i = 0; i < 100; ++i) {
    Readings readings = quiet(4, 200, [&](int, double) { return 0.005 * normal(random); });
    slow_down(readings[2], 1.05);
    at_limit += slower_than_others(readings, {0.05, 4})[2].slow ? 1 : 0;
    slow_down(readings[2], 1.025 / 1.05);
    at_half += any_slow(slower_than_others(readings, {0.05, 4})) ? 1 : 0;
  }
  EXPECT_GE(at_limit, 90);
  EXPECT_LE(at_half, 1);
}

TEST(Slowness, a_minority_of_slow_ranks_is_found_and_nobody_else) {
  Random random(11);
  Readings readings = quiet(8, 100, [&](int, double) { return 0.01 * normal(random); });
  for (const int rank : {1, 4, 6}) slow_down(readings[sz(rank)], 3);
  const auto found = slower_than_others(readings, {0.05, 8});
  for (int rank = 0; rank < 8; ++rank)
    EXPECT_EQ(found[sz(rank)].slow, rank == 1 || rank == 4 || rank == 6) << rank;
  EXPECT_NEAR(found[1].slower, 2, 0.1);
}

TEST(Slowness, what_ends_within_the_measurement_is_no_slow_rank) {
  Random random(13);
  Readings readings = quiet(2, 120, [&](int, double) { return 0.01 * normal(random); });
  for (std::size_t round = 0; round < 80; ++round) readings[0][round] *= 1.5;
  EXPECT_FALSE(any_slow(slower_than_others(readings, {0.05, 2})));
}

TEST(Slowness, too_few_rounds_or_ranks_tell_nothing) {
  const auto few = slower_than_others({{1, 1, 1, 1}, {3, 3, 3, 3}}, {0.05, 2});
  EXPECT_NEAR(few[1].slower, 2, 1e-12);
  EXPECT_TRUE(std::isnan(few[1].certain));
  EXPECT_TRUE(std::isinf(few[1].resolution));
  EXPECT_FALSE(any_slow(few));
  EXPECT_TRUE(std::isnan(slower_than_others({{1, 2, 3}}, {0.05, 1})[0].slower));
  EXPECT_TRUE(std::isnan(slower_than_others({{NAN, NAN}, {1, 1}}, {0.05, 1})[0].slower));
  EXPECT_TRUE(slower_than_others({}, {0.05, 1}).empty());
  EXPECT_THROW(static_cast<void>(slower_than_others({{1, 2}, {1}}, {0.05, 1})), Error);
}

TEST(Slowness, one_more_value_is_judged_by_the_earlier_ones) {
  const std::vector<double> past{1.00, 1.01, 0.99, 1.02, 0.98, 1.00};
  EXPECT_TRUE(std::isnan(slower_than_past(std::span(past).first(4), 9, {0.05, 1}).slower));
  EXPECT_FALSE(slower_than_past(past, 1.02, {0.05, 1}).slow);
  const Slowness slow = slower_than_past(past, 1.2, {0.05, 1});
  EXPECT_TRUE(slow.slow);
  EXPECT_NEAR(slow.slower, 0.2, 1e-3);
  // 6 values with a standard deviation of 1.414 %; t of 5 degrees at 99 % is 3.365.
  EXPECT_NEAR(std::log1p(slow.slower) - std::log1p(slow.certain),
              3.365 * 0.01414 * std::sqrt(7 / 6.), 1e-3);
  EXPECT_LT(slower_than_past(past, 1.2, {0.05, 8}).certain, slow.certain);
  EXPECT_TRUE(slower_than_past(std::vector<double>(5, 1.0), 1.06, {0.05, 1}).slow);
}

TEST(Slowness, one_more_quiet_value_is_accused_in_a_hundredth_of_cases) {
  Random random(15);
  int accused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::vector<double> past;
    for (int k = 0; k < 5 + i % 20; ++k) past.push_back(std::exp(0.02 * normal(random)));
    accused += slower_than_past(past, std::exp(0.02 * normal(random)), {0, 1}).slow ? 1 : 0;
  }
  EXPECT_LT(accused, 36);  // 20 are expected
  EXPECT_GT(accused, 8);
}

}  // namespace
}  // namespace gembench
