#include "harness/run/state_sampler.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "harness/report/gpu_line.hpp"

namespace gembench {
namespace {

using namespace std::chrono_literals;

/// What a GPU says that clocks down step by step, and is held down by its power once.
DeviceState reading(int number) {
  DeviceState state;
  state.clock = 1e9 - 1e6 * number;
  state.temperature = 40 + number;
  state.throttle_reasons = number == 2 ? 4 : 1;
  state.energy = 10.0 * number;
  return state;
}

TEST(StateSampler, reads_while_the_device_works) {
  std::atomic<int> number = -1;  // the first is asked whether it reports anything
  StateSampler sampler([&] { return std::optional(reading(number++)); }, 1ms);
  while (number < 5) std::this_thread::sleep_for(1ms);
  const GpuUse use = sampler.finish().value();
  const auto last = static_cast<double>(use.readings - 1);
  EXPECT_GE(use.readings, 5);
  EXPECT_EQ(use.clock_max, 1e9);
  EXPECT_EQ(use.clock_min, 1e9 - 1e6 * last);
  EXPECT_NEAR(use.clock_mean, 1e9 - 1e6 * last / 2, 1);
  EXPECT_EQ(use.temperature_max, 40 + last);
  EXPECT_EQ(use.throttle_reasons, 5);
  EXPECT_EQ(use.energy, 10 * last);
  EXPECT_GT(use.seconds, 0);
  EXPECT_TRUE(std::isnan(use.power_mean));
}

TEST(StateSampler, reads_once_if_the_work_was_shorter_than_its_period) {
  StateSampler sampler([] { return std::optional(reading(0)); }, 1h);
  const GpuUse use = sampler.finish().value();
  EXPECT_EQ(use.readings, 1);
  EXPECT_TRUE(std::isnan(use.energy) && std::isnan(use.seconds));  // one reading spans nothing
}

TEST(StateSampler, counts_no_reading_that_says_nothing) {
  std::atomic<int> asked = 0;
  StateSampler sampler([&] { return ++asked, std::optional<DeviceState>(DeviceState{}); }, 1ms);
  while (asked < 4) std::this_thread::sleep_for(1ms);
  const GpuUse use = sampler.finish().value();
  EXPECT_EQ(use.readings, 0);
  EXPECT_TRUE(std::isnan(use.seconds));
}

TEST(StateSampler, power_is_energy_over_time_where_energy_is_known) {
  std::atomic<int> number = 0;
  const auto read = [&](double energy) {
    return [&number, energy] {
      DeviceState state;
      state.power = 700;
      state.energy = energy * number++;
      return std::optional(state);
    };
  };
  StateSampler known(read(1.0), 1ms);
  while (number < 5) std::this_thread::sleep_for(1ms);
  const GpuUse use = known.finish().value();
  EXPECT_EQ(use.power_mean, use.energy / use.seconds);
  EXPECT_EQ(use.power_max, 700);
  number = 0;
  StateSampler unknown(read(NAN), 1ms);
  while (number < 5) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(unknown.finish().value().power_mean, 700);
}

TEST(StateSampler, reads_no_device_that_reports_nothing) {
  int asked = 0;
  StateSampler sampler([&] { return ++asked, std::optional<DeviceState>(); }, 1ms);
  std::this_thread::sleep_for(5ms);
  EXPECT_FALSE(sampler.finish().has_value());
  EXPECT_EQ(asked, 1);
}

TEST(StateSampler, reads_at_least_ten_times_a_second) {
  EXPECT_LE(StateSampler::kPeriod, 100ms);
}

TEST(GpuLine, says_the_range_over_ranks_and_what_held_clocks_down) {
  GpuUse a, b;
  a.readings = b.readings = 3;
  a.clock_min = 1.2e9, a.clock_max = 1.5e9;
  b.clock_min = 1.1e9, b.clock_max = 1.4e9;
  b.power_mean = 650, b.power_max = 700;
  b.throttle_reasons = 4 | 32;
  EXPECT_EQ(gpu_line({a, b}),
            "GPUs while measuring: clock 1100 to 1500 MHz, power 650 W on average, 700 at most; "
            "clocks were held down on rank 1 (power cap, temperature)");
  EXPECT_EQ(gpu_line({}), "");
  EXPECT_EQ(gpu_line({GpuUse{}}), "");
}

}  // namespace
}  // namespace gembench
