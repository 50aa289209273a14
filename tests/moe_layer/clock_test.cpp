#include "moe_layer/clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "placement/random.hpp"

namespace gembench {
namespace {

/// Tries every assignment of ranks to allowed CPUs.
bool brute_force(const std::vector<RankPlace>& ranks) {
  std::vector<int> used;
  const std::function<bool(std::size_t)> place = [&](std::size_t rank) {
    if (rank == ranks.size()) return true;
    for (const int cpu : ranks[rank].cpus) {
      if (std::find(used.begin(), used.end(), cpu) != used.end()) continue;
      used.push_back(cpu);
      if (place(rank + 1)) return true;
      used.pop_back();
    }
    return false;
  };
  return place(0);
}

TEST(OwnCpuEach, agrees_with_trying_everything) {
  Random random(1);
  int yes = 0, no = 0;
  for (int instance = 0; instance < 500; ++instance) {
    std::vector<RankPlace> ranks(1 + random.below(5));
    for (RankPlace& rank : ranks) {
      for (int cpu = 0; cpu < 5; ++cpu) {
        if (random.below(3) == 0) rank.cpus.push_back(cpu);
      }
    }
    const bool expected = brute_force(ranks);
    EXPECT_EQ(own_cpu_each(ranks), expected) << "instance " << instance;
    (expected ? yes : no)++;
  }
  EXPECT_GT(yes, 50);
  EXPECT_GT(no, 50);
}

TEST(OwnCpuEach, a_cgroup_quota_counts_like_missing_cpus) {
  const RankPlace half{"a", {0, 1, 2, 3}, 1.0};
  EXPECT_TRUE(own_cpu_each({half}));
  EXPECT_FALSE(own_cpu_each({half, half}));
}

TEST(OwnCpuEach, ranks_bound_to_one_cpu_share_it) {
  const RankPlace bound{"a", {2}, 0};
  EXPECT_FALSE(own_cpu_each({bound, bound}));
}

TEST(CpuList, is_what_slurm_writes) {
  EXPECT_EQ(cpu_list({0, 1, 2, 3, 8}), "0-3,8");
  EXPECT_EQ(cpu_list({5}), "5");
  EXPECT_EQ(cpu_list({}), "");
}

TEST(ThisRank, has_a_host_and_at_least_one_cpu) {
  const RankPlace place = place_of_this_rank();
  EXPECT_FALSE(place.host.empty());
  EXPECT_FALSE(place.cpus.empty());
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
