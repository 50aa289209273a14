#include "harness/run/quiet.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/run/measure.hpp"

namespace gembench {
namespace {

RunCommand small_run() {
  RunCommand options;
  options.scale = 32;
  options.layers = 2;
  options.tokens = 96;
  options.plan_steps = 4;
  options.steps = 4;
  options.block = 4;
  options.profile_seconds = 0;
  options.quiet = true;
  return options;
}

TEST(Quiet, rank_0_knows_of_every_rank_before_and_after) {
  const Comm comm = Comm::world();
  const RunCommand options = small_run();
  Progress progress;
  const Session session(comm, options, progress);
  const QuietState state = read_quiet(session);
  ASSERT_EQ(state.ranks.size(), comm.rank() == 0 ? static_cast<std::size_t>(comm.size()) : 0);
  for (const QuietReading& reading : state.ranks) {
    EXPECT_GT(reading.quantum, 0);
    EXPECT_GE(reading.longest_pause, 0);
    for (const double lost : {reading.lost, reading.lost_cpu}) {
      EXPECT_GE(lost, 0);
      EXPECT_LT(lost, 1);
    }
  }
  EXPECT_EQ(std::isnan(state.barrier_skew_median), comm.rank() != 0 || comm.size() == 1);
}

TEST(Quiet, what_happened_meanwhile_is_known_by_rank) {
  const Comm comm = Comm::world();
  const RunCommand options = small_run();
  Progress progress;
  Session session(comm, options, progress);
  const QuietMeter meter(session);
  const RunEnd end = measure(session, {{session.linear}},
                             make_schedule(options.steps, *options.block, 1, options.seed), {},
                             {[](const SegmentRecord&) {}});
  std::vector<QuietUse> uses = end.quiet_during;
  meter.finish(uses);
  ASSERT_EQ(uses.size(), comm.rank() == 0 ? static_cast<std::size_t>(comm.size()) : 0);
  for (const QuietUse& use : uses) {
    EXPECT_GE(use.switches, 0);
    for (const double share : {use.steal, use.other_work, use.pressure}) {
      EXPECT_TRUE(std::isnan(share) || (share >= 0 && share <= 1)) << share;
    }
  }
}

TEST(Quiet, no_switches_are_known_where_nothing_was_measured) {
  const Comm comm = Comm::world();
  const RunCommand options = small_run();
  Progress progress;
  Session session(comm, options, progress);
  const auto schedule = make_schedule(options.steps, *options.block, 1, options.seed);
  const FinishedSegments finished{std::vector<std::int32_t>(schedule.size(), 1),
                                  std::vector<SegmentNotes>(schedule.size())};
  const RunEnd end =
      measure(session, {{session.linear}}, schedule, finished, {[](const SegmentRecord&) {}});
  for (const QuietUse& use : end.quiet_during) EXPECT_TRUE(std::isnan(use.switches));
}

TEST(Quiet, the_probe_is_short_and_shorter_in_haste) {
  RunCommand options;
  EXPECT_DOUBLE_EQ(quiet_seconds(options.profile_seconds), 0.25) << "run's default";
  options.profile_seconds = 3600;
  EXPECT_DOUBLE_EQ(quiet_seconds(options.profile_seconds), 0.25);
  options.profile_seconds = 0;
  EXPECT_DOUBLE_EQ(quiet_seconds(options.profile_seconds), 0.02);
}

}  // namespace
}  // namespace gembench
