#include "moe_layer/cpu/state.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

namespace gembench {
namespace {

namespace fs = std::filesystem;

/// A /proc and /sys of its own.
class CpuState : public ::testing::Test {
 protected:
  CpuState() : root_(fs::temp_directory_path() / ("gembench-cpu-" + std::to_string(getpid()))) {}
  ~CpuState() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  fs::path root_;
};

TEST_F(CpuState, where_nothing_is_told_everything_is_nan) {
  const DeviceState state = cpu_state(0, root_);
  for (const double value : {state.clock, state.memory_clock, state.power, state.temperature}) {
    EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_EQ(cpu_model(root_), "");
}

TEST_F(CpuState, reads_cpufreq_thermal_zones_and_the_model) {
  write("sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "2450000\n");
  write("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  write("sys/class/thermal/thermal_zone0/temp", "20000\n");
  write("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
  write("sys/class/thermal/thermal_zone1/temp", "61500\n");
  write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2: GHz\ncpu MHz\t\t: 1\n");
  const DeviceState state = cpu_state(3, root_);
  EXPECT_DOUBLE_EQ(state.clock, 2.45e9);
  EXPECT_DOUBLE_EQ(state.temperature, 61.5);
  EXPECT_EQ(cpu_model(root_), "Some CPU @ 2: GHz");
}

TEST_F(CpuState, without_cpufreq_the_clock_is_that_of_cpuinfo) {
  write("proc/cpuinfo",
        "processor\t: 0\ncpu MHz\t\t: 1000\n\nprocessor\t: 12\ncpu MHz\t\t: 2596.5\n");
  write("sys/class/hwmon/hwmon2/name", "k10temp\n");
  write("sys/class/hwmon/hwmon2/temp1_input", "40250\n");
  EXPECT_DOUBLE_EQ(cpu_state(12, root_).clock, 2596.5e6);
  EXPECT_DOUBLE_EQ(cpu_state(12, root_).temperature, 40.25);
  EXPECT_TRUE(std::isnan(cpu_state(1, root_).clock)) << "not the clock of 12";
}

TEST_F(CpuState, a_counter_that_stands_still_is_no_power) {
  write("sys/class/powercap/intel-rapl:0/energy_uj", "123456789\n");
  EXPECT_EQ(cpu_state(0, root_).power, 0);
  write("sys/class/powercap/intel-rapl:0/energy_uj", "garbage\n");
  EXPECT_TRUE(std::isnan(cpu_state(0, root_).power));
}

TEST_F(CpuState, of_this_machine_can_be_asked_for) {
  EXPECT_GE(current_cpu(), 0);
  const DeviceState state = cpu_state(current_cpu());
  EXPECT_TRUE(std::isnan(state.clock) || state.clock > 1e7);
}

}  // namespace
}  // namespace gembench
