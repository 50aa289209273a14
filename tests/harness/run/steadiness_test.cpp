#include "harness/run/steadiness.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/run/soak.hpp"
#include "placement/base/random.hpp"

namespace gembench {
namespace {

constexpr SteadyRule kRule{.window = 8, .temperature = 0.5, .clock = 0.005, .step_time = 0.02};

/// What was read so far, all of it.
struct History {
  std::vector<TimedValue> temperature, clock, steps;
};

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}
double median_of_values(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// The rule, from the whole history: 0 = steady, 1 = it changes, 8 = too few values.
int verdict(const std::vector<TimedValue>& all, double now, double allowed, bool relative,
            double (*middle)(const std::vector<double>&)) {
  if (now < kRule.window) return 8;
  std::vector<double> halves[2];
  for (const TimedValue& one : all) {
    const double age = now - one.at;
    if (age < kRule.window) halves[age < kRule.window / 2 ? 1 : 0].push_back(one.value);
  }
  if (halves[0].size() < 3 || halves[1].size() < 3) return 8;
  const double before = middle(halves[0]), after = middle(halves[1]);
  return std::abs(after - before) <= allowed * (relative ? std::abs(before) : 1) ? 0 : 1;
}

int expected(const History& all, double now) {
  int bits = 0;
  if (!all.temperature.empty()) bits |= verdict(all.temperature, now, 0.5, false, mean_of);
  if (!all.clock.empty()) bits |= 2 * verdict(all.clock, now, 0.005, true, mean_of);
  const auto median = [](const std::vector<double>& values) { return median_of_values(values); };
  bits |= 4 * verdict(all.steps, now, 0.02, true, median);
  return bits;
}

/// Temperatures that rise and settle, clocks that fall with them, and steps that follow, with noise
/// and pauses, read at random times.
TEST(SteadyWatch, is_as_the_rule_applied_to_the_whole_history) {
  int changes = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    SteadyWatch watch(kRule, 0);
    History all;
    const double settling = 1 + 6 * random.uniform(), noise = 0.03 * random.uniform();
    const bool told = seed % 4 != 0;
    int before = -1;
    for (double now = 0.13; now < 60;
         now += 0.13 + (random.below(40) == 0 ? 5.0 : 0.1) * random.uniform()) {
      const double left = std::exp(-now / settling);
      DeviceState state;
      if (told && random.below(10) != 0) state.temperature = std::floor(70 - 30 * left);
      if (told) state.clock = 1.5e9 * (1 + 0.2 * left);
      watch.add_state(now, state);
      if (!std::isnan(state.temperature)) all.temperature.push_back({now, state.temperature});
      if (!std::isnan(state.clock)) all.clock.push_back({now, state.clock});
      // Longer than 1/64 of the window: none is averaged with the next.
      const double step = 0.1 * (1 - 0.1 * left) * (1 + noise * (random.uniform() - 0.5));
      watch.add_step(now, step);
      if (all.steps.empty() && seed == 0) {
        EXPECT_EQ(watch.unsteady(now), 4 * 8);
      }
      all.steps.push_back({now, step});
      const int bits = watch.unsteady(now);
      // The first step begins the first part and is averaged with the second.
      if (all.steps.size() > 2 && now > 2 * kRule.window) {
        ASSERT_EQ(bits, expected(all, now)) << seed << " " << now;
      }
      changes += before >= 0 && bits != before ? 1 : 0;
      before = bits;
    }
  }
  EXPECT_GT(changes, 100);
}

TEST(SteadyWatch, needs_a_whole_window_and_what_the_device_reports) {
  SteadyWatch watch(kRule, 100);
  DeviceState hot;
  hot.temperature = 60;
  for (double now = 100; now < 107.9; now += 0.25) {
    watch.add_step(now, 0.2);
    watch.add_state(now, hot);
    EXPECT_EQ(watch.unsteady(now),
              (SteadyWatch::kTemperature | SteadyWatch::kStepTime) * SteadyWatch::kTooFew);
  }
  watch.add_step(108, 0.2);
  watch.add_state(108, hot);
  EXPECT_EQ(watch.unsteady(108.1), 0);
  EXPECT_EQ(watch.unsteady(120), 5 * 8);  // nothing was read lately
}

TEST(SteadyWatch, many_short_steps_are_averaged) {
  SteadyWatch watch(kRule, 0);
  int i = 0;
  for (double now = 0; now < 9; now += 1e-3, ++i) watch.add_step(now, i % 2 == 0 ? 1e-4 : 9e-4);
  EXPECT_EQ(watch.unsteady(9), 0);
  for (double now = 9; now < 13; now += 1e-3, ++i) watch.add_step(now, i % 2 == 0 ? 1e-4 : 1.1e-3);
  EXPECT_EQ(watch.unsteady(13), SteadyWatch::kStepTime);
}

TEST(SteadyWatch, the_window_is_as_long_as_some_steps) {
  for (const auto& [step, work] : {std::pair{2.0, 1.0}, {5.0, 1.0}, {5.0, 0.1}}) {
    SteadyWatch watch(kRule, 0);
    DeviceState hot;
    hot.temperature = 60;
    watch.add_step(20, 20);  // the first one is slow, and no window is measured by it
    double now = 20, steady_at = 0;
    for (int i = 0; i < 20; ++i) {
      now += step;
      watch.add_step(now, work * step);  // the rest is between steps
      watch.add_state(now, hot);
      const int bits = watch.unsteady(now);
      EXPECT_EQ(bits & 7, 0) << step << " " << i;  // nothing changed
      if (bits == 0 && steady_at == 0) steady_at = now;
    }
    EXPECT_GT(steady_at, 20 + 6 * step - 0.1);
    EXPECT_LE(steady_at, 20 + kStepsOfWindow * step + 0.1);
  }
}

TEST(SteadyWatch, what_changes_in_long_steps_is_seen) {
  SteadyWatch watch(kRule, 0);
  double now = 0;
  for (int i = 0; i < 20; ++i) {
    now += 3 * (1 + 0.05 * i);
    watch.add_step(now, 3 * (1 + 0.05 * i));
  }
  EXPECT_EQ(watch.unsteady(now), SteadyWatch::kStepTime);
}

TEST(Soak, words_and_limits) {
  EXPECT_EQ(words_of({0, 0}), "");
  EXPECT_EQ(words_of({0, 5, 2}),
            "temperature and step time of rank 1, clock of rank 2 still changed");
  EXPECT_EQ(words_of({1 | 4 * 8}),
            "temperature of rank 0 still changed; too few readings of the step time of rank 0");
  EXPECT_EQ(words_of(std::vector<int>(10, 2)).substr(0, 30), "clock of rank 0, clock of rank");
  EXPECT_NE(words_of(std::vector<int>(10, 2)).find("rank 7 and of 2 more still changed"),
            std::string::npos);
  EXPECT_EQ(soak_limit({}, true, true), 180);
  EXPECT_EQ(soak_limit({}, true, false), 0);
  EXPECT_EQ(soak_limit({}, false, true), 0);
  EXPECT_EQ(soak_limit(7.0, false, false), 7);
  EXPECT_EQ(steady_rule(180).window, 10);
  EXPECT_EQ(steady_rule(8).window, 2);
}

}  // namespace
}  // namespace gembench
