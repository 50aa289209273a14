#include "harness/run/cpu_turns.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "moe_layer/mpi/rank_place.hpp"
#include "placement/base/index.hpp"

namespace gembench {
namespace {

TEST(CpuTurns, go_around_the_cpus_and_give_them_all_back) {
  const std::vector<int> cpus = place_of_this_rank().cpus;
  if (cpus.size() < 2) GTEST_SKIP() << "a single CPU";
  {
    CpuTurns turns(cpus, 0, 1);
    for (std::size_t turn = 0; turn <= cpus.size(); ++turn) {
      turns.next();
      EXPECT_EQ(place_of_this_rank().cpus, std::vector<int>{cpus[turn % cpus.size()]});
      EXPECT_EQ(sched_getcpu(), cpus[turn % cpus.size()]);
    }
  }
  EXPECT_EQ(place_of_this_rank().cpus, cpus);
}

TEST(CpuTurns, leave_a_thread_alone_that_has_no_choice) {
  const std::vector<int> cpus = place_of_this_rank().cpus;
  for (const auto& few : {std::vector<int>(), std::vector<int>{0}}) {
    CpuTurns turns(few, 3, 4);
    turns.next();
    EXPECT_EQ(place_of_this_rank().cpus, cpus);
  }
}

TEST(CpuTurns, put_every_rank_beside_every_other_and_on_every_cpu) {
  for (const auto& [ranks, cpus] : {std::pair{3, 2}, {4, 2}, {5, 3}, {8, 4}}) {
    constexpr std::size_t kRounds = 240;
    std::vector<std::size_t> beside(sz(ranks) * sz(ranks)), on(sz(ranks) * sz(cpus));
    for (std::size_t round = 0; round < kRounds; ++round) {
      std::vector<std::size_t> at, load(sz(cpus));
      for (int rank = 0; rank < ranks; ++rank) {
        at.push_back(cpu_in_round(round, rank, ranks, sz(cpus)));
        ++on[sz(rank) * sz(cpus) + at.back()];
        ++load[at.back()];
      }
      EXPECT_LE(std::ranges::max(load) - std::ranges::min(load), 1U);
      for (std::size_t one = 0; one < at.size(); ++one)
        for (std::size_t other = 0; other < one; ++other)
          beside[one * sz(ranks) + other] += at[one] == at[other] ? 1 : 0;
    }
    for (int one = 0; one < ranks; ++one) {
      for (int cpu = 0; cpu < cpus; ++cpu) {
        const std::size_t times = on[sz(one) * sz(cpus) + sz(cpu)], even = kRounds / sz(cpus);
        EXPECT_LE(std::max(times, even) - std::min(times, even), kRounds / 20);
      }
      for (int other = 0; other < one; ++other) {
        EXPECT_GT(beside[sz(one) * sz(ranks) + sz(other)], kRounds / sz(ranks) / 3)
            << ranks << " on " << cpus << ": " << one << ", " << other;
      }
    }
  }
}

}  // namespace
}  // namespace gembench
