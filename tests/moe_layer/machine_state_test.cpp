#include "moe_layer/machine_state.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/moe_layer/made_root.hpp"

namespace gembench {
namespace {

TEST(MachineCounters, are_nan_where_nothing_is_told) {
  const MadeRoot root;
  const MachineCounters counters = machine_counters({0, 1}, root.path());
  for (const double value : {counters.busy, counters.steal, counters.counted, counters.pressure}) {
    EXPECT_TRUE(std::isnan(value));
  }
  const auto uses = use_between({{0, 1}}, {counters}, {counters});
  for (const double value : {uses[0].steal, uses[0].other, uses[0].pressure}) {
    EXPECT_TRUE(std::isnan(value));
  }
}

TEST(MachineCounters, are_those_of_the_ranks_cpus) {
  const MadeRoot root;
  root.write("proc/stat",
             "cpu  1 2 3 4 5 6 7 8 9 10\n"
             "cpu0 100 10 20 1000 30 1 2 40 99 0\n"
             "cpu1 900 900 900 900 900 900 900 900 0 0\n"
             "cpu10 200 0 0 0 0 0 0 0 0 0\n"
             "intr 5 5 5\n");
  root.write("proc/pressure/cpu",
             "some avg10=1.00 avg60=2.00 avg300=3.00 total=2500000\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  const MachineCounters counters = machine_counters({0, 10}, root.path());
  EXPECT_DOUBLE_EQ(counters.busy, (100 + 10 + 20 + 1 + 2 + 200) * tick);
  EXPECT_DOUBLE_EQ(counters.steal, 40 * tick);
  EXPECT_DOUBLE_EQ(counters.counted, (133 + 40 + 1030 + 200) * tick);
  EXPECT_DOUBLE_EQ(counters.pressure, 2.5);
  EXPECT_TRUE(std::isnan(machine_counters({0, 2}, root.path()).busy)) << "there is no CPU 2";
  root.write("proc/stat", "cpu0 5 6 7 8\n");
  EXPECT_EQ(machine_counters({0}, root.path()).steal, 0) << "kernels before 2.6.11 know no steal";
  root.write("proc/stat", "nonsense\ncpu\ncpux 1\n");
  root.write("proc/pressure/cpu", "nonsense\n");
  EXPECT_TRUE(std::isnan(machine_counters({0}, root.path()).counted));
  EXPECT_TRUE(std::isnan(machine_counters({0}, root.path()).pressure));
}

MachineCounters at(double wall, double own, double busy, double steal, double counted,
                   double pressure) {
  return {wall, own, busy, steal, counted, pressure};
}

TEST(UseBetween, own_work_of_ranks_on_the_same_cpus_is_not_others) {
  // Two CPUs, 10 s: 20 s counted, 15 busy of which the ranks used 6 and 5, 1 stolen.
  const MachineCounters begin = at(100, 50, 1000, 10, 5000, 3);
  const std::vector<MachineCounters> after{at(110, 56, 1015, 11, 5020, 5),
                                           at(110, 55, 1015, 11, 5020, 5)};
  const auto uses = use_between({{0, 1}, {0, 1}}, {begin, begin}, after);
  for (const MachineUse& use : uses) {
    EXPECT_DOUBLE_EQ(use.other, (15 - 6 - 5) / 20.0);
    EXPECT_DOUBLE_EQ(use.steal, 1 / 20.0);
    EXPECT_DOUBLE_EQ(use.pressure, 2 / 10.0);
  }
  // Bound to CPUs of their own: each against its own work.
  const auto bound = use_between({{0, 1}, {2, 3}}, {begin, begin}, after);
  EXPECT_DOUBLE_EQ(bound[0].other, (15 - 6) / 20.0);
  EXPECT_DOUBLE_EQ(bound[1].other, (15 - 5) / 20.0);
  // Where CPUs overlap, the work cannot be attributed.
  const auto overlap = use_between({{0, 1}, {1, 2}}, {begin, begin}, after);
  EXPECT_TRUE(std::isnan(overlap[0].other));
  EXPECT_DOUBLE_EQ(overlap[0].steal, 1 / 20.0);
}

TEST(UseBetween, coarse_ticks_do_not_make_shares_below_0_or_above_1) {
  const MachineCounters begin = at(0, 0, 0, 0, 0, 0);
  const auto uses = use_between({{0}}, {begin}, {at(1, 1.01, 1, 0, 1, 1.2)});
  EXPECT_EQ(uses[0].other, 0);
  EXPECT_EQ(uses[0].pressure, 1);
  EXPECT_TRUE(std::isnan(use_between({{0}}, {begin}, {begin})[0].steal)) << "no time has passed";
}

TEST(MachineSettings, are_read_where_they_are_and_else_empty) {
  const MadeRoot root;
  auto settings = machine_settings(3, root.path());
  for (const char* name : {"governor", "turbo", "smt", "core_threads", "numa_nodes"}) {
    EXPECT_EQ(settings.at(name), "") << name;
  }
  EXPECT_FALSE(settings.at("kernel").empty());
  EXPECT_FALSE(settings.at("glibc").empty());
  const std::string cpus = "sys/devices/system/cpu/";
  root.write(cpus + "cpu3/cpufreq/scaling_governor", "powersave\n");
  root.write(cpus + "cpu3/topology/thread_siblings_list", "3,35\n");
  root.write(cpus + "smt/active", "1\n");
  root.write(cpus + "cpufreq/boost", "1\n");
  root.write("sys/devices/system/node/node0/x", "");
  root.write("sys/devices/system/node/node1/x", "");
  root.write("sys/devices/system/node/node_states", "");
  settings = machine_settings(3, root.path());
  EXPECT_EQ(settings.at("governor"), "powersave");
  EXPECT_EQ(settings.at("core_threads"), "3,35");
  EXPECT_EQ(settings.at("smt"), "on");
  EXPECT_EQ(settings.at("turbo"), "on");
  EXPECT_EQ(settings.at("numa_nodes"), "2");
  root.write(cpus + "intel_pstate/no_turbo", "1\n");
  root.write(cpus + "smt/active", "0\n");
  settings = machine_settings(3, root.path());
  EXPECT_EQ(settings.at("turbo"), "off") << "intel_pstate knows better";
  EXPECT_EQ(settings.at("smt"), "off");
}

}  // namespace
}  // namespace gembench
