#include "moe_layer/mpi/clock.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(ClockFor, says_what_it_is_and_why) {
  struct Case {
    const char* asked;
    Sharing sharing;
    Clock clock;
    const char* reason;
  };
  for (const Case& one : {
           Case{"auto", Sharing::nothing, Clock::wall, "every rank has a CPU of its own"},
           Case{"auto", Sharing::cores, Clock::cpu_time,
                "ranks share cores: hardware threads of one core are not CPUs of their own"},
           Case{"auto", Sharing::cpus, Clock::cpu_time, "ranks share CPUs"},
           Case{"auto", Sharing::quota, Clock::cpu_time,
                "ranks share CPUs: their control group may use fewer CPUs than it has ranks"},
           Case{"wall", Sharing::nothing, Clock::wall, "as asked"},
           Case{"wall", Sharing::cores, Clock::wall,
                "as asked; ranks share cores, waits are not trustworthy"},
           Case{"wall", Sharing::cpus, Clock::wall,
                "as asked; ranks share CPUs, waits are not trustworthy"},
           Case{"wall", Sharing::quota, Clock::wall,
                "as asked; ranks share CPUs, waits are not trustworthy"},
           Case{"cpu-time", Sharing::nothing, Clock::cpu_time, "as asked"},
           Case{"cpu-time", Sharing::cores, Clock::cpu_time, "as asked; ranks share cores"},
           Case{"cpu-time", Sharing::cpus, Clock::cpu_time, "as asked; ranks share CPUs"},
       }) {
    const ClockChoice choice = clock_for(one.asked, one.sharing);
    EXPECT_EQ(choice.clock, one.clock) << one.asked << " " << name_of(one.sharing);
    EXPECT_EQ(choice.reason, one.reason);
  }
}

TEST(Clocks, cpu_time_stands_still_while_sleeping_and_wall_does_not) {
  const double cpu = thread_cpu_seconds(), wall = wall_seconds();
  timespec pause{0, 20'000'000};
  nanosleep(&pause, nullptr);
  EXPECT_GE(wall_seconds() - wall, 0.02);
  EXPECT_LT(thread_cpu_seconds() - cpu, 0.02);
}

}  // namespace
}  // namespace gembench
