#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "harness/run/segments.hpp"

namespace gembench {
namespace {

TEST(Schedule, every_placement_runs_every_step_once_in_blocks_of_at_least_that_many) {
  for (const auto& [steps, block, placements] :
       {std::tuple{40, 8, 4}, {20, 8, 3}, {7, 8, 2}, {64, 1, 1}, {101, 10, 5}}) {
    std::map<int, std::set<int>> seen;
    std::map<int, std::pair<int, int>> range;  // of a block, the same for all placements
    for (const Segment& segment : make_schedule(steps, block, placements, 1)) {
      EXPECT_GE(segment.steps, std::min(steps, block));
      const auto [place, added] =
          range.try_emplace(segment.block, segment.first_step, segment.steps);
      EXPECT_EQ(place->second, std::pair(segment.first_step, segment.steps));
      for (int i = 0; i < segment.steps; ++i) {
        EXPECT_TRUE(seen[segment.placement].insert(segment.first_step + i).second);
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
    for (const Segment& segment : make_schedule(8, 8, 3, seed)) order.push_back(segment.placement);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U) << "twenty seeds should show all six orders of three placements";
}

RunCommand alternating(int placements) {
  RunCommand options;
  options.steps = 48;
  options.placements.assign(static_cast<std::size_t>(placements), "linear");
  return options;
}

TEST(Alternation, is_step_by_step_where_all_experts_fit) {
  const Alternation how = alternation_of(alternating(3), true);
  EXPECT_EQ(how.block, 1);
  EXPECT_EQ(how.warmup, 0);
  EXPECT_TRUE(how.resident);
  EXPECT_EQ(describe(how),
            "placements alternate step by step with all experts in memory, nothing discarded after "
            "a switch");
}

TEST(Alternation, else_it_is_in_blocks_six_at_least_where_steps_allow_it) {
  const auto block = [](int steps) {
    RunCommand options = alternating(3);
    options.steps = steps;
    return alternation_of(options, false).block;
  };
  EXPECT_EQ(block(40), 6);
  EXPECT_EQ(block(48), 8);
  EXPECT_EQ(block(1000), 8);
  EXPECT_EQ(block(16), 2);
  EXPECT_EQ(block(6), 1);
  EXPECT_EQ(block(5), 8) << "too few for an interval: one block";
  const Alternation how = alternation_of(alternating(3), false);
  EXPECT_EQ(how.warmup, 2);
  EXPECT_FALSE(how.resident);
  EXPECT_EQ(describe(how),
            "placements alternate in blocks of 8 steps, 2 steps discarded after a switch (the "
            "experts of all do not fit in memory)");
}

TEST(Alternation, what_changes_meanwhile_and_what_is_alone_has_blocks) {
  RunCommand adapting = alternating(2);
  adapting.placements.push_back("adapt:gem");
  EXPECT_EQ(alternation_of(adapting, true).block, 8);
  EXPECT_FALSE(alternation_of(adapting, true).resident);
  EXPECT_EQ(alternation_of(alternating(1), true).block, 8);
}

TEST(Alternation, goes_by_what_was_asked_for) {
  RunCommand options = alternating(3);
  options.block = 4;
  EXPECT_EQ(alternation_of(options, true).block, 4);
  EXPECT_FALSE(alternation_of(options, true).resident);
  EXPECT_EQ(alternation_of(options, true).warmup, 2);
  options.resident = true;
  EXPECT_TRUE(alternation_of(options, true).resident);
  options.block.reset();
  EXPECT_EQ(alternation_of(options, false).block, 1) << "resident was asked for: no limit of ours";
  options.warmup = 3;
  EXPECT_EQ(alternation_of(options, true).warmup, 3);
}

TEST(CpuTime, waits_are_the_distance_to_the_slowest_rank) {
  const RunShape shape{1, 1, 2, 3, 3, 1, 1};
  SegmentRecord block;
  block.at.steps = 1;
  for (auto& values : block.time) values.assign(6, NAN);
  auto& route = block.time[time_at("route_time")];
  auto& expert = block.time[time_at("expert_time")];
  route = {1, 1, 1, 1, 1, 1};
  expert = {2, 5, 3, 4, 0, 1};
  block.step_time.assign(3, NAN);
  complete_cpu_time(block, shape);
  EXPECT_EQ(block.time[time_at("barrier_wait")], (std::vector<double>{3, 0, 2, 0, 4, 3}));
  EXPECT_EQ(block.time[time_at("layer_time")], (std::vector<double>{6, 6, 6, 5, 5, 5}));
  EXPECT_EQ(block.step_time, (std::vector<double>{11, 11, 11}));
}

TEST(Stamps, waits_are_up_to_the_slowest_rank_or_the_last_result_on_one_clock) {
  const RunShape shape{1, 2, 2, 3, 3, 1, 1};
  SegmentRecord block;
  block.at.steps = 2;
  const auto twice = [](std::vector<double> values) {
    values.insert(values.end(), values.begin(), values.end());
    return values;
  };
  const auto fill = [&](std::size_t time, const std::vector<double>& step) {
    block.time[time] = twice(step);
  };
  // In both steps the same happens, while the clocks have drifted.
  const std::vector<ClockReading> clocks{{0, 0}, {100, 0}, {-50, 0}, {0, 0}, {70, 0}, {-10, 0}};
  // Without the offsets layers begin at 0, 1, 2 and then at 11, 10, 8.5.
  block.time[time_at("start_time")] = {0, -99, 52, 11, -90, 58.5, 0, -69, 12, 11, -60, 18.5};
  fill(time_at("start_wait"), {0, 0, 0, 0, 0, 0});
  fill(time_at("route_time"), {1, 1, 1, 1, 1, 1});
  fill(time_at("dispatch_time"), {1, 1, 1, 1, 1, 1});
  fill(time_at("expert_time"), {2, 5, 3, 1, 1, 1});
  fill(time_at("barrier_wait"), {6, 1, 0.5, 2, 2, 9});  // to the last result
  fill(time_at("combine_time"), {1, 1, 1, 1, 1, 1});
  fill(time_at("layer_time"), {11, 9, 6.5, 6, 6, 13});
  block.step_time.assign(6, NAN);
  complete_stamps(block, shape, clocks);
  EXPECT_EQ(block.time[time_at("barrier_wait")], twice({4, 0, 0.5, 0, 1, 2.5}));
  EXPECT_EQ(block.time[time_at("combine_time")], twice({3, 2, 1, 3, 2, 7.5}));
  EXPECT_EQ(block.time[time_at("start_wait")], twice({0, 1, 2, 0, 0, 0}));
  EXPECT_EQ(block.step_time, twice({17, 16, 21.5}));
}

TEST(Stamps, a_step_has_the_clocks_before_and_after_it_and_their_drift_is_an_error) {
  const std::vector<ClockReading> around{{0, 1}, {100, 2}, {0, 3}, {110, 2}, {0, 1}, {90, 7}};
  const auto clocks = clocks_in_steps(around, 2);
  const std::vector<std::pair<double, double>> expected{{0, 3}, {105, 7}, {0, 3}, {100, 17}};
  ASSERT_EQ(clocks.size(), expected.size());
  for (std::size_t i = 0; i < clocks.size(); ++i) {
    EXPECT_EQ(std::pair(clocks[i].offset, clocks[i].error), expected[i]) << i;
  }
  std::vector<ClockReading> none(2), after{{5, 4}, {6, 4}};
  raise_errors(none, clocks);
  EXPECT_EQ(none[1].error, 17);
  raise_errors(after, clocks);
  EXPECT_EQ(std::pair(after[0].offset, after[0].error), std::pair(5.0, 4.0));
  EXPECT_EQ(std::pair(after[1].offset, after[1].error), std::pair(6.0, 17.0));
}

}  // namespace
}  // namespace gembench
