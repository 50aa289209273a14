#include "moe_layer/mpi/rank_place.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "placement/base/random.hpp"
#include "tests/moe_layer/made_root.hpp"

namespace gembench {
namespace {

/// Tries every assignment of ranks to what they may have.
bool brute_force(const std::vector<RankPlace>& ranks, std::vector<int> RankPlace::*choices) {
  std::vector<int> used;
  const std::function<bool(std::size_t)> place = [&](std::size_t rank) {
    if (rank == ranks.size()) return true;
    for (const int choice : ranks[rank].*choices) {
      if (std::find(used.begin(), used.end(), choice) != used.end()) continue;
      used.push_back(choice);
      if (place(rank + 1)) return true;
      used.pop_back();
    }
    return false;
  };
  return place(0);
}

TEST(SharingOf, agrees_with_trying_everything) {
  Random random(1);
  int seen[3] = {};
  for (int instance = 0; instance < 600; ++instance) {
    std::vector<RankPlace> ranks(1 + random.below(5));
    const int threads = 1 + static_cast<int>(random.below(3));  // of a core
    for (RankPlace& rank : ranks) {
      for (int cpu = 0; cpu < 6; ++cpu) {
        if (random.below(3) != 0) continue;
        rank.cpus.push_back(cpu);
        rank.cores.push_back(cpu / threads * threads);
      }
    }
    const Sharing expected = brute_force(ranks, &RankPlace::cores)  ? Sharing::nothing
                             : brute_force(ranks, &RankPlace::cpus) ? Sharing::cores
                                                                    : Sharing::cpus;
    EXPECT_EQ(sharing_of(ranks), expected) << "instance " << instance;
    ++seen[static_cast<int>(expected)];
  }
  EXPECT_GT(*std::min_element(std::begin(seen), std::end(seen)), 50);
}

/// CPUs of a rank on a machine whose cores have the threads c and c + cores.
RankPlace on(std::vector<int> cpus, int cores) {
  RankPlace place{"a", std::move(cpus)};
  for (const int cpu : place.cpus) place.cores.push_back(cpu % cores);
  return place;
}

TEST(SharingOf, hardware_threads_of_a_core_are_one_core) {
  struct Case {
    const char* name;
    std::vector<RankPlace> ranks;
    Sharing sharing;
  };
  const std::vector<int> all{0, 1, 2, 3};  // two cores of two threads
  for (const Case& one : {
           Case{"each on a thread of one core", {on({0}, 2), on({2}, 2)}, Sharing::cores},
           Case{"each on a thread of another core", {on({0}, 2), on({3}, 2)}, Sharing::nothing},
           Case{
               "one on both threads of its core", {on({0, 2}, 2), on({1, 3}, 2)}, Sharing::nothing},
           Case{"both on both threads of one core", {on({0, 2}, 2), on({0, 2}, 2)}, Sharing::cores},
           Case{"not bound, as many as cores", {on(all, 2), on(all, 2)}, Sharing::nothing},
           Case{"not bound, more than cores", {on(all, 2), on(all, 2), on(all, 2)}, Sharing::cores},
           Case{"not bound, more than threads",
                {on(all, 2), on(all, 2), on(all, 2), on(all, 2), on(all, 2)},
                Sharing::cpus},
           Case{"a bound one leaves the other core", {on({2}, 2), on(all, 2)}, Sharing::nothing},
           Case{"bound to one thread together", {on({1}, 2), on({1}, 2)}, Sharing::cpus},
           Case{
               "cores are not known: CPUs count", {{"a", {0, 1}}, {"a", {0, 1}}}, Sharing::nothing},
           Case{"no CPU is known", {{"a", {}}, {"a", {}}}, Sharing::cpus},
       }) {
    EXPECT_EQ(sharing_of(one.ranks), one.sharing) << one.name;
  }
}

TEST(SharingOf, quotas_count_against_the_ranks_of_their_group) {
  struct Case {
    const char* name;
    std::vector<std::vector<CpuQuota>> quotas;  // [rank]
    Sharing sharing;
  };
  for (const Case& one : {
           Case{"one CPU for one rank", {{{"/a", 1}}}, Sharing::nothing},
           Case{"half a CPU for one rank", {{{"/a", 0.5}}}, Sharing::quota},
           Case{"one CPU for two ranks", {{{"/a", 1}}, {{"/a", 1}}}, Sharing::quota},
           Case{"two CPUs for two ranks", {{{"/a", 2}}, {{"/a", 2}}}, Sharing::nothing},
           Case{"rounded", {{{"/a", 1.995}}, {{"/a", 1.995}}}, Sharing::nothing},
           Case{"one each, in groups of their own", {{{"/a", 1}}, {{"/b", 1}}}, Sharing::nothing},
           Case{"one each, but the group above has one",
                {{{"/s/a", 1}, {"/s", 1}}, {{"/s/b", 1}, {"/s", 1}}},
                Sharing::quota},
           Case{"only one rank is limited", {{{"/a", 1}}, {}}, Sharing::nothing},
       }) {
    std::vector<RankPlace> ranks;
    for (const auto& quotas : one.quotas) ranks.push_back({"a", {0, 1, 2, 3}, {}, quotas});
    EXPECT_EQ(sharing_of(ranks), one.sharing) << one.name;
  }
}

TEST(CpuQuotas, are_read_from_the_group_up) {
  const MadeRoot root;
  root.write("proc/self/cgroup", "12:memory:/m\n4:cpu,cpuacct:/old\n0::/slurm/job\n");
  root.write("sys/fs/cgroup/slurm/job/cpu.max", "150000 100000\n");
  root.write("sys/fs/cgroup/slurm/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  root.write("sys/fs/cgroup/cpu/old/cpu.cfs_quota_us", "50000\n");
  root.write("sys/fs/cgroup/cpu/old/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const auto quotas = cpu_quotas(root.path());
  ASSERT_EQ(quotas.size(), 3U);
  EXPECT_EQ(quotas[0].group, "cpu:/old");
  EXPECT_EQ(quotas[0].cpus, 0.5);
  EXPECT_EQ(quotas[1].cpus, 1.5);
  EXPECT_EQ(quotas[2].cpus, 4);
  EXPECT_EQ(quotas[1].group, "/slurm/job");
  EXPECT_EQ(quotas[2].group, "/");
}

TEST(CpuQuotas, none_where_nothing_is_told) {
  const MadeRoot root;
  EXPECT_TRUE(cpu_quotas(root.path()).empty());
  root.write("proc/self/cgroup", "0::/../elsewhere\nnonsense\n0::\n");
  EXPECT_TRUE(cpu_quotas(root.path()).empty());
  root.write("sys/fs/cgroup/cpu.max", "nonsense\n");
  EXPECT_TRUE(cpu_quotas(root.path()).empty());
}

TEST(CpuList, is_what_slurm_writes) {
  EXPECT_EQ(cpu_list({0, 1, 2, 3, 8}), "0-3,8");
  EXPECT_EQ(cpu_list({5}), "5");
  EXPECT_EQ(cpu_list({}), "");
}

TEST(ThisRank, has_a_host_and_a_core_for_every_cpu) {
  const RankPlace place = place_of_this_rank();
  EXPECT_FALSE(place.host.empty());
  EXPECT_FALSE(place.cpus.empty());
  EXPECT_EQ(place.cores.size(), place.cpus.size());
}

}  // namespace
}  // namespace gembench
