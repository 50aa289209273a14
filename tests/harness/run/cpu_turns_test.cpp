#include "harness/run/cpu_turns.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include "moe_layer/mpi/rank_place.hpp"
#include "placement/base/index.hpp"

namespace gembench {
namespace {

TEST(CpuTurns, go_around_the_cpus_and_give_them_all_back) {
  const std::vector<int> cpus = place_of_this_rank().cpus;
  if (cpus.size() < 2) GTEST_SKIP() << "a single CPU";
  {
    CpuTurns turns(cpus, 1);
    for (std::size_t turn = 1; turn <= cpus.size() + 1; ++turn) {
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
    CpuTurns turns(few, 3);
    turns.next();
    EXPECT_EQ(place_of_this_rank().cpus, cpus);
  }
}

}  // namespace
}  // namespace gembench
