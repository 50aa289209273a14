#include "harness/statistics/change_point.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

using Series = std::vector<std::vector<double>>;

std::vector<std::vector<LevelShift>> shifts_of(const Series& series) {
  return level_shifts(series, 1e-6);
}

double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

/// Series without a change: `value` gives the noise of a series' value after the one before it.
Series quiet(std::size_t count, std::size_t length, Random& random,
             const std::function<double(std::size_t series, double last)>& value) {
  Series made(count, std::vector<double>(length));
  for (std::size_t series = 0; series < count; ++series) {
    double last = normal(random);
    for (double& each : made[series]) each = last = value(series, last);
  }
  return made;
}

bool any(const std::vector<std::vector<LevelShift>>& shifts) {
  return std::ranges::any_of(shifts, [](const auto& of) { return !of.empty(); });
}

TEST(LevelShifts, quiet_histories_rarely_show_one_whatever_their_noise) {
  Random random(1);
  const auto heavy = [&](std::size_t, double) {  // Student's t with 3 degrees of freedom
    double square = 0;
    for (int i = 0; i < 3; ++i) square += std::pow(normal(random), 2);
    return normal(random) / std::sqrt(square / 3);
  };
  const auto unequal = [&](std::size_t series, double) {
    return normal(random) * (series == 0 ? 5 : 1);
  };
  const auto correlated = [&](std::size_t, double last) {
    return 0.3 * last + std::sqrt(1 - 0.09) * normal(random);
  };
  const std::function<double(std::size_t, double)> kinds[] = {
      [&](std::size_t, double) { return normal(random); }, heavy, unequal, correlated};
  constexpr int kCases = 600;
  for (const auto& kind : kinds) {
    int alarms = 0;
    for (int i = 0; i < kCases; ++i) {
      const std::size_t count = i % 2 == 0 ? 2 : 8, length = i % 3 == 0 ? 8 : 30;
      alarms += any(shifts_of(quiet(count, length, random, kind))) ? 1 : 0;
    }
    // 1 %, and what so few cases scatter by.
    EXPECT_LE(alarms, kCases * kFalseAlarm * 1.5) << "kind " << &kind - kinds;
  }
}

/// Four series with 1 % noise; the second changes at `at` by `change`.
Series changed(std::size_t length, std::size_t at, double change, std::uint64_t seed = 2) {
  Random random(seed);
  Series made =
      quiet(4, length, random, [&](std::size_t, double) { return 0.01 * normal(random); });
  for (std::size_t i = at; i < length; ++i) made[1][i] += change;
  return made;
}

TEST(LevelShifts, a_change_is_found_with_its_place_and_size_soon_after_it) {
  int found = 0, covered = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const auto shifts = shifts_of(changed(16, 13, 0.12, seed));
    if (shifts[1].size() != 1 || shifts[1][0].first != 13) continue;
    ++found;
    covered += shifts[1][0].low < 0.12 && shifts[1][0].high > 0.12 ? 1 : 0;
    EXPECT_EQ(shifts[1][0].before, 13u);
    EXPECT_EQ(shifts[1][0].since, 3u);
    EXPECT_TRUE(shifts[0].empty() && shifts[2].empty() && shifts[3].empty());
  }
  EXPECT_GE(found, 95);
  EXPECT_GE(covered, found * 9 / 10);
}

TEST(LevelShifts, a_change_and_the_way_back_are_two) {
  Series series = changed(30, 10, 0.2);
  for (std::size_t i = 20; i < 30; ++i) series[1][i] -= 0.2;
  const auto shifts = shifts_of(series);
  ASSERT_EQ(shifts[1].size(), 2u);
  EXPECT_EQ(shifts[1][0].first, 10u);
  EXPECT_EQ(shifts[1][1].first, 20u);
  EXPECT_GT(shifts[1][0].low, 0);
  EXPECT_LT(shifts[1][1].high, 0);
  EXPECT_EQ(shifts[1][0].since, 10u);
}

TEST(LevelShifts, too_few_values_or_a_single_odd_one_are_no_change) {
  EXPECT_TRUE(shifts_of({}).empty());
  EXPECT_FALSE(any(shifts_of(changed(6, 3, 1))));
  EXPECT_FALSE(any(shifts_of(changed(20, 19, 0.5)))) << "the last value alone";
  EXPECT_FALSE(any(shifts_of(changed(20, 18, 0.5)))) << "two";
  EXPECT_FALSE(any(shifts_of(Series(3, std::vector<double>(20, 0.1))))) << "no noise at all";
  Series exact(2, std::vector<double>(20, 0.1));
  for (std::size_t i = 12; i < 20; ++i) exact[0][i] += 0.05;
  EXPECT_EQ(shifts_of(exact)[0].size(), 1u);
}

}  // namespace
}  // namespace gembench
