#include "harness/report/quiet_report.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gembench {
namespace {

/// Two ranks on a quiet machine.
QuietReadings quiet(const std::string& clock) {
  QuietReadings readings;
  readings.clock = clock;
  readings.before.ranks = {{40e-6, 0.010, 0.001, 100e-6}, {40e-6, 0.020, 0.002, 200e-6}};
  readings.after.ranks = {{40e-6, 0.011, 0.004, 4.2e-3}, {40e-6, 0.012, 0.003, 150e-6}};
  readings.before.barrier_skew_median = 3e-6;
  readings.before.barrier_skew_p99 = 80e-6;
  readings.after.barrier_skew_median = 8e-6;
  readings.after.barrier_skew_p99 = 40e-6;
  readings.during = {{0.5, 0.004, 0.01, 0.12}, {1.25, 0.003, 0.02, 0.12}};
  return readings;
}

TEST(QuietSummary, is_the_worst_of_ranks_and_moments_on_the_runs_clock) {
  const QuietSummary wall = summarise(quiet("wall"));
  EXPECT_EQ(wall.lost, 0.020);
  EXPECT_EQ(wall.lost_rank, 1);
  EXPECT_FALSE(wall.lost_after);
  EXPECT_DOUBLE_EQ(wall.lost_spread, 0.010);
  EXPECT_EQ(wall.longest_pause, 4.2e-3);
  EXPECT_EQ(wall.switches, 1.25);
  EXPECT_EQ(wall.skew_median, 8e-6);
  EXPECT_EQ(wall.skew_p99, 80e-6);
  const QuietSummary cpu = summarise(quiet("cpu-time"));
  EXPECT_EQ(cpu.lost, 0.004);
  EXPECT_EQ(cpu.lost_rank, 0);
  EXPECT_TRUE(cpu.lost_after);
}

TEST(QuietLine, says_it_in_one_line) {
  EXPECT_EQ(quiet_line(quiet("wall")),
            "2.0 % of time lost to other work (longest pause 4.2 ms), other programs used 2.0 % of "
            "the CPUs, steal 0.4 %, CPU pressure 12.0 %, 1.2 involuntary switches a step, barrier "
            "exit skew 8 us (p99 80 us)");
  // Of ranks that share CPUs, pressure and switches are their own doing.
  EXPECT_EQ(
      quiet_line(quiet("cpu-time")),
      "0.4 % of CPU time lost to disturbances (longest pause 4.2 ms), other programs used 2.0 % "
      "of the CPUs, steal 0.4 %, barrier exit skew 8 us (p99 80 us)");
}

TEST(QuietLine, leaves_out_what_is_not_known) {
  EXPECT_EQ(quiet_line({"wall", {}, {}, {}}), "") << "a file before 2.5.0";
  QuietReadings some = quiet("wall");
  some.after = {};  // unfinished
  some.during = {{NAN, NAN, NAN, 0.5}, {}};
  some.before.barrier_skew_median = NAN;
  EXPECT_EQ(quiet_line(some),
            "2.0 % of time lost to other work (longest pause 200 us), CPU pressure 50.0 %");
}

TEST(QuietWarnings, there_are_none_when_it_is_quiet_or_nothing_is_known) {
  EXPECT_TRUE(quiet_warnings(quiet("wall")).empty());
  EXPECT_TRUE(quiet_warnings(quiet("cpu-time")).empty());
  EXPECT_TRUE(quiet_warnings({"wall", {}, {}, {}}).empty());
  QuietReadings unknown = quiet("wall");
  unknown.before.ranks = unknown.after.ranks = {{}, {}};
  unknown.during = {{}, {}};
  EXPECT_TRUE(quiet_warnings(unknown).empty());
}

TEST(QuietWarnings, speak_in_the_words_of_the_command) {
  QuietReadings readings = quiet("wall");
  readings.after.ranks[0].lost = readings.after.ranks[1].lost = 0.2;
  readings.during[0].steal = readings.during[1].other_work = 0.3;
  std::string all;
  for (const auto& warning : quiet_warnings(readings, kQuietProbe)) all += warning;
  for (const char* words : {"after the probe rank", "more --max-seconds", "while probing"})
    EXPECT_NE(all.find(words), std::string::npos) << all;
  EXPECT_EQ(all.find("step"), std::string::npos) << all;
}

TEST(QuietWarnings, name_what_is_above_its_threshold) {
  struct Case {
    const char* name;
    void (*disturb)(QuietReadings&);
    std::vector<const char*> said;  // one for each warning
  };
  for (const Case& one : {
           Case{"all ranks alike, before",
                [](QuietReadings& r) { r.before.ranks[0].lost = r.before.ranks[1].lost = 0.2; },
                {"before the run rank 0 lost 20.0 % of its time"}},
           Case{"all ranks alike, after",
                [](QuietReadings& r) { r.after.ranks[0].lost = r.after.ranks[1].lost = 0.06; },
                {"after the run rank 0 lost 6.0 % of its time"}},
           Case{"one rank",
                [](QuietReadings& r) { r.after.ranks[1].lost = 0.511; },
                {"after the run rank 1 lost 51.1 % of its time",
                 "differs by 50.0 % of the time, most on rank 1"}},
           Case{"just quiet enough",
                [](QuietReadings& r) { r.after.ranks[1].lost = kNoisyLost; },
                {}},
           Case{"other programs",
                [](QuietReadings& r) { r.during[1].other_work = 0.3; },
                {"other programs used 30.0 %"}},
           Case{"the hypervisor",
                [](QuietReadings& r) { r.during[0].steal = 0.03; },
                {"took 3.0 % of the CPUs' time (steal)"}},
           Case{"a clock that the run does not use",
                [](QuietReadings& r) { r.after.ranks[1].lost_cpu = 0.9; },
                {}},
       }) {
    QuietReadings readings = quiet("wall");
    one.disturb(readings);
    const auto warnings = quiet_warnings(readings);
    ASSERT_EQ(warnings.size(), one.said.size()) << one.name;
    for (std::size_t i = 0; i < warnings.size(); ++i) {
      EXPECT_NE(warnings[i].find(one.said[i]), std::string::npos) << warnings[i];
    }
  }
}

}  // namespace
}  // namespace gembench
