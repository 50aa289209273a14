#include "harness/run/state_sampler.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <string>

#include "harness/report/gpu_line.hpp"
#include "placement/base/error.hpp"

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

TEST(StateSampler, samples_are_all_that_was_read_in_their_order) {
  std::atomic<int> number = 0;
  StateSampler sampler(
      [&] {
        DeviceState state;
        if (number % 3 != 1) state.temperature = number;  // a reading that fails is a sample too
        ++number;
        return std::optional(state);
      },
      1ms);
  std::vector<StateSample> all;
  while (number < 20) {
    std::this_thread::sleep_for(2ms);
    const auto some = sampler.take();
    all.insert(all.end(), some.begin(), some.end());
  }
  static_cast<void>(sampler.finish());
  const auto rest = sampler.take();
  all.insert(all.end(), rest.begin(), rest.end());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(number - 1));  // the first was made to ask
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int which = static_cast<int>(i) + 1;
    EXPECT_EQ(std::isnan(all[i].temperature), which % 3 == 1);
    if (which % 3 != 1) {
      EXPECT_EQ(all[i].temperature, which);
    }
    EXPECT_GE(all[i].took, 0);
    if (i > 0) {
      EXPECT_GT(all[i].time, all[i - 1].time);
    }
  }
}

TEST(StateSampler, what_it_says_may_begin_later) {
  std::atomic<int> number = 0;
  StateSampler sampler([&] { return std::optional(reading(number++)); }, 1ms);
  while (number < 5) std::this_thread::sleep_for(1ms);
  sampler.begin();
  const int before = number;
  while (number < before + 5) std::this_thread::sleep_for(1ms);
  const GpuUse use = sampler.finish().value();
  EXPECT_GE(use.readings, 4);
  EXPECT_LE(use.readings, number - before + 1);
  EXPECT_GE(sampler.take().size(), 8U);  // those from before are samples too
}

TEST(StateSampler, a_reading_that_throws_is_told_and_ends_it) {
  std::atomic<int> asked = 0;
  StateSampler sampler(
      [&]() -> std::optional<DeviceState> {
        if (++asked == 3) throw Error(ExitCode::failed, "the GPU is lost");
        return reading(0);
      },
      1ms);
  while (asked < 3) std::this_thread::sleep_for(1ms);
  const auto told = [](auto call) {
    try {
      static_cast<void>(call());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(told([&] { return sampler.take().size(); }), "the GPU is lost");
  EXPECT_EQ(told([&] { return sampler.finish().has_value(); }), "the GPU is lost");
  EXPECT_EQ(asked, 3);
}

TEST(StateSampler, keeps_off_its_makers_cpu_where_it_may) {
  cpu_set_t mine;
  ASSERT_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
  if (CPU_COUNT(&mine) < 2) GTEST_SKIP() << "one CPU";
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &mine)) CPU_SET(cpu, &one);
  }
  bool kept_off = false;
  for (int attempt = 0; attempt < 20 && !kept_off; ++attempt) {
    std::atomic<int> asked = 0;
    cpu_set_t readers;
    const auto read = [&] {
      if (asked == 1) sched_getaffinity(0, sizeof readers, &readers);  // the first is its maker's
      ++asked;
      return std::optional(reading(0));
    };
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);    // we run there
    ASSERT_EQ(sched_setaffinity(0, sizeof mine, &mine), 0);  // the thread may run elsewhere
    StateSampler sampler(read, 1ms);
    while (asked < 2) std::this_thread::sleep_for(1ms);
    static_cast<void>(sampler.finish());
    cpu_set_t left;
    CPU_XOR(&left, &mine, &readers);
    EXPECT_EQ(CPU_COUNT(&left), 1);
    kept_off = CPU_EQUAL(&left, &one) != 0;  // else we were moved in between
  }
  EXPECT_TRUE(kept_off);
}

/// Which values of 0, 1, ... are kept, the plain way: room for `room`; then every second one goes.
std::vector<int> thinned(int values, int room) {
  std::vector<int> kept;
  int stride = 1;
  int erased = 0;
  for (int value = 0; value < values; ++value) {
    if (value % stride != 0) continue;
    if (static_cast<int>(kept.size()) == room) {
      if (erased == 0 || erased == room / 2) stride *= 2, erased = 0;
      kept.erase(kept.begin() + 1 + erased++);  // every second, and one less each time
    }
    kept.push_back(value);
  }
  return kept;
}

TEST(ThinnedRows, keeps_what_is_spread_over_all) {
  for (const std::size_t room : {2U, 4U, 16U, 64U}) {
    ThinnedRows rows(room);
    std::vector<int> held(room, -1);
    for (int value = 0; value < 1000; ++value) {
      if (const auto row = rows.next()) held.at(*row) = value;
      std::vector<int> kept;
      std::ranges::copy_if(held, std::back_inserter(kept), [](int one) { return one >= 0; });
      std::ranges::sort(kept);
      ASSERT_EQ(kept, thinned(value + 1, static_cast<int>(room))) << room << " " << value;
      const int stride = static_cast<int>(rows.stride());
      EXPECT_EQ(kept.front(), 0);
      EXPECT_GT(kept.back(), value - stride);
      for (std::size_t i = 1; i < kept.size(); ++i) EXPECT_LE(kept[i] - kept[i - 1], stride);
    }
  }
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
  a.throttle_reasons = 0x8;
  EXPECT_NE(gpu_line({a, b}).find("on ranks 0, 1 (hardware slowdown, power cap, temperature)"),
            std::string::npos);
  EXPECT_EQ(gpu_line({}), "");
  EXPECT_EQ(gpu_line({GpuUse{}}), "");
}

TEST(GpuLine, names_the_reasons_of_nvml) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(slow_reasons(-1), Names());
  EXPECT_EQ(slow_reasons(0x1 | 0x2), Names());
  EXPECT_EQ(slow_reasons(0x4), Names{"power cap"});
  EXPECT_EQ(slow_reasons(0x8), Names{"hardware slowdown"});
  EXPECT_EQ(slow_reasons(0x8 | 0x80), Names{"power brake"});
  EXPECT_EQ(slow_reasons(0x8 | 0x40), Names{"temperature"});
  EXPECT_EQ(slow_reasons(0x8 | 0x20), (Names{"temperature", "hardware slowdown"}));
  EXPECT_EQ(slow_reasons(0x10), Names{"sync boost"});
}

}  // namespace
}  // namespace gembench
