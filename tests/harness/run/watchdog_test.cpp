#include "harness/run/watchdog.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/run/stop.hpp"

namespace gembench {
namespace {

const std::string kWhy = "nothing moved for 300 s (--hang-timeout)";

/// Four ranks that wait at the barrier of layer 4 in step 12.
std::vector<RankSeen> four() {
  std::vector<RankSeen> ranks;
  for (int rank = 4; rank < 8; ++rank) ranks.push_back({rank, {90, 4, Phase::barrier, 12}, 0.5});
  return ranks;
}

TEST(Watchdog, names_the_rank_that_the_others_wait_for) {
  auto ranks = four();
  ranks[2].where.phase = Phase::experts;
  EXPECT_TRUE(culprit_among(ranks));
  EXPECT_EQ(hang_sentence(kWhy, "nodeA", ranks),
            kWhy +
                ": rank 6 on nodeA was last seen in the experts of layer 4, step 12: look at "
                "that process and its device");
}

TEST(Watchdog, the_layer_before_is_further_behind_than_any_phase) {
  auto ranks = four();
  ranks[0].where = {90, 3, Phase::combine, 12};
  ranks[1].where.phase = Phase::route;
  EXPECT_EQ(hang_sentence(kWhy, "nodeA", ranks),
            kWhy +
                ": rank 4 on nodeA was last seen in the combine of layer 3, step 12: look at "
                "that process and at the network");
}

TEST(Watchdog, a_process_that_does_not_run_is_named_wherever_it_is) {
  auto ranks = four();
  ranks[1].silent = ranks[3].silent = 300;
  EXPECT_TRUE(culprit_among(ranks));
  EXPECT_EQ(hang_sentence(kWhy, "nodeA", ranks),
            kWhy +
                ": ranks 5,7 on nodeA were last seen in the barrier of layer 4, step 12, and are "
                "stopped or gone: see who stopped it");
}

TEST(Watchdog, ranks_that_all_wait_point_elsewhere) {
  EXPECT_FALSE(culprit_among(four()));
  EXPECT_EQ(hang_sentence(kWhy, "nodeA", four()),
            kWhy +
                ": ranks 4-7 on nodeA all wait in the barrier of layer 4, step 12: look for a "
                "node that is down, a network that is cut, or a rank that hangs elsewhere");
}

TEST(Watchdog, a_rank_that_computes_is_at_fault_even_alone) {
  const std::vector<RankSeen> one{{0, {3, 0, Phase::experts, 0}, 0}};
  EXPECT_TRUE(culprit_among(one));
  const std::vector<RankSeen> preparing{{0, {}, 0}};
  EXPECT_EQ(hang_sentence("x", "n", preparing).find("x: rank 0 on n waits in the preparation"), 0U);
}

TEST(Progress, is_ordered_as_ranks_run) {
  Progress progress;
  std::vector<Whereabouts> seen{progress.now()};
  const auto note = [&] { seen.push_back(progress.now()); };
  for (int step = 0; step < 2; ++step) {
    progress.at_step(step);
    progress.enter(Phase::load), note();
    for (int layer = 0; layer < 2; ++layer) {
      for (const Phase phase : {Phase::start_barrier, Phase::route, Phase::dispatch, Phase::experts,
                                Phase::barrier, Phase::combine}) {
        progress.enter(phase, layer), note();
      }
    }
  }
  progress.enter(Phase::gather), note();
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_LT(seen[i - 1], seen[i]) << i;
}

TEST(Watchdog, limits_what_comes_after_it) {
  EXPECT_EXIT(
      {
        // Of a sentence of any length as much as fits.
        end_within(1, ExitCode::timeout, "rank 1 waited " + std::string(5000, 'x'));
        while (true) pause();
      },
      testing::ExitedWithCode(static_cast<int>(ExitCode::timeout)),
      "^gembench: rank 1 waited x+\n$");
}

}  // namespace
}  // namespace gembench
