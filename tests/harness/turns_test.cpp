#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "harness/turns.hpp"

namespace gembench {
namespace {

TEST(Schedule, every_placement_runs_every_step_once_in_blocks_of_at_least_that_many) {
  for (const auto& [steps, block, placements] :
       {std::tuple{40, 8, 4}, {20, 8, 3}, {7, 8, 2}, {64, 1, 1}, {101, 10, 5}}) {
    std::map<int, std::set<int>> seen;
    std::map<int, std::pair<int, int>> range;  // of a block, the same for all placements
    for (const Turn& turn : make_schedule(steps, block, placements, 1)) {
      EXPECT_GE(turn.steps, std::min(steps, block));
      const auto [place, added] = range.try_emplace(turn.block, turn.first_step, turn.steps);
      EXPECT_EQ(place->second, std::pair(turn.first_step, turn.steps));
      for (int i = 0; i < turn.steps; ++i) {
        EXPECT_TRUE(seen[turn.placement].insert(turn.first_step + i).second);
      }
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(placements));
    for (const auto& [placement, ran] : seen) {
      EXPECT_EQ(ran.size(), static_cast<std::size_t>(steps));
      EXPECT_EQ(*ran.begin(), 0);
      EXPECT_EQ(*ran.rbegin(), steps - 1);
    }
  }
}

TEST(Schedule, the_order_within_blocks_is_drawn_from_the_seed) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> order;
    for (const Turn& turn : make_schedule(8, 8, 3, seed)) order.push_back(turn.placement);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U) << "twenty seeds should show all six orders of three placements";
}

TEST(CpuTime, waits_are_the_distance_to_the_slowest_rank) {
  const RunShape shape{1, 1, 2, 3, 3, 1, 1};
  Block block;
  block.at.steps = 1;
  for (auto& values : block.time) values.assign(6, NAN);
  auto& route = block.time[static_cast<std::size_t>(TimeField::route_time)];
  auto& expert = block.time[static_cast<std::size_t>(TimeField::expert_time)];
  route = {1, 1, 1, 1, 1, 1};
  expert = {2, 5, 3, 4, 0, 1};
  block.step_time.assign(3, NAN);
  complete_cpu_time(block, shape);
  EXPECT_EQ(block.time[static_cast<std::size_t>(TimeField::barrier_wait)],
            (std::vector<double>{3, 0, 2, 0, 4, 3}));
  EXPECT_EQ(block.time[static_cast<std::size_t>(TimeField::layer_time)],
            (std::vector<double>{6, 6, 6, 5, 5, 5}));
  EXPECT_EQ(block.step_time, (std::vector<double>{11, 11, 11}));
}

}  // namespace
}  // namespace gembench
