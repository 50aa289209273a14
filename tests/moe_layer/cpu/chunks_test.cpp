#include "moe_layer/cpu/chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();
constexpr int kMostRows = 1500;
constexpr double kWorst = 1.10;  // the bar of the bench experts-rows

/// What the plan's chunks cost together, by the costs it was made from.
double planned_cost(const ChunkPlan& plan, const std::vector<ChunkCost>& costs, int rows) {
  double sum = 0;
  for (int left = rows; left > 0;) {
    const int computed = plan.rows_of(left, left == rows);
    const auto cost = std::ranges::find(costs, computed, &ChunkCost::rows);
    EXPECT_NE(cost, costs.end());
    sum += left == rows ? cost->first : cost->next;
    left -= std::min(left, computed);
  }
  return sum;
}

std::vector<ChunkCost> random_costs(std::uint64_t seed) {
  Random random(seed);
  std::vector<ChunkCost> costs;
  for (const int rows : chunk_row_counts(seed % 2 == 0)) {
    const double jump = random.below(8) == 0 ? 3.0 : 1.0;  // as oneDNN's on AMX
    const double next = (8 + rows * (0.8 + 0.4 * random.uniform())) * jump;
    costs.push_back({rows, next + 20 * random.uniform(), next});
  }
  return costs;
}

TEST(ChunkPlan, no_number_of_rows_has_a_cheaper_way) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto costs = random_costs(seed);
    const ChunkPlan plan{costs};
    std::vector<double> least(kMostRows + 1, 0);  // of chunks after the first
    for (int rows = 1; rows <= 1024; ++rows) {
      double first = kUnknown, next = kUnknown;
      for (const ChunkCost& cost : costs) {
        const auto then = static_cast<std::size_t>(std::max(0, rows - cost.rows));
        first = std::min(first, cost.first + least[then]);
        next = std::min(next, cost.next + least[then]);
      }
      least[static_cast<std::size_t>(rows)] = next;
      ASSERT_LE(planned_cost(plan, costs, rows), first * kWorst) << "seed " << seed << ", " << rows;
    }
  }
}

TEST(ChunkPlan, fewer_rows_never_cost_much_more) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto costs = random_costs(seed);
    const ChunkPlan plan{costs};
    double least = kUnknown;
    for (int rows = 1024; rows >= 1; --rows) {
      const double cost = planned_cost(plan, costs, rows);
      least = std::min(least, cost);
      ASSERT_LE(cost, least * kWorst) << "seed " << seed << ", " << rows << " rows";
    }
  }
}

TEST(ChunkPlan, uses_the_row_counts_it_names_and_ends_for_any_number_of_rows) {
  const ChunkPlan plan{random_costs(3)};
  const auto counts = plan.row_counts();
  EXPECT_TRUE(std::ranges::is_sorted(counts));
  for (int rows = 1; rows <= kMostRows; ++rows) {
    int chunks = 0;
    for (int left = rows; left > 0; ++chunks) {
      const int computed = plan.rows_of(left, left == rows);
      ASSERT_TRUE(std::ranges::binary_search(counts, computed));
      left -= std::min(left, computed);
    }
    ASSERT_LE(chunks, rows);
  }
}

TEST(ChunkPlan, the_first_chunk_is_chosen_by_what_reading_weights_costs) {
  // Small chunks are the fastest ones, but the first one should hide the weights' way from memory.
  const std::vector<ChunkCost> costs = {{64, 200, 64}, {256, 280, 300}};
  const ChunkPlan plan(costs);
  EXPECT_EQ(plan.rows_of(256, true), 256);
  EXPECT_EQ(plan.rows_of(256, false), 64);
  EXPECT_EQ(plan.rows_of(512, true), 256);
}

TEST(ChunkCosts, on_tiles_only_what_was_measured_is_used) {
  const std::vector<ChunkCost> measured = {{64, 70, 60}, {16, 30, 20}, {240, kUnknown, kUnknown}};
  const auto costs = complete_costs(measured, true);
  ASSERT_EQ(costs.size(), 2U);
  EXPECT_EQ(costs[0].rows, 16);
  EXPECT_EQ(costs[1].rows, 64);
}

TEST(ChunkCosts, elsewhere_lines_say_what_lies_between_and_beyond) {
  const std::vector<ChunkCost> measured = {
      {1, 10, 5}, {16, 40, 20}, {64, 136, 116}, {256, kUnknown, kUnknown}};
  const auto costs = complete_costs(measured, false);
  ASSERT_EQ(costs.size(), chunk_row_counts(false).size());
  const auto at = [&](int rows) { return *std::ranges::find(costs, rows, &ChunkCost::rows); };
  EXPECT_DOUBLE_EQ(at(16).first, 40);
  EXPECT_DOUBLE_EQ(at(40).first, 88);
  EXPECT_DOUBLE_EQ(at(40).next, 68);
  EXPECT_DOUBLE_EQ(at(256).next, 116 + 192 * 2);
}

TEST(ChunkCosts, are_assumed_where_nothing_was_measured) {
  EXPECT_EQ(complete_costs({}, true).size(), assumed_costs().size());
  const std::vector<ChunkCost> one = {{16, 1, 1}, {64, kUnknown, kUnknown}};
  EXPECT_EQ(complete_costs(one, false).size(), assumed_costs().size());
}

TEST(ChunkRowCounts, padding_stays_small) {
  for (const bool tiles : {false, true}) {
    const auto counts = chunk_row_counts(tiles);
    ASSERT_TRUE(std::ranges::is_sorted(counts));
    EXPECT_EQ(counts.front(), 1);
    EXPECT_EQ(counts.back(), 256);
    for (std::size_t i = 1; i < counts.size(); ++i) {
      const int padding = counts[i] - counts[i - 1] - 1;
      EXPECT_LE(padding, tiles ? 15 : counts[i] / 32) << counts[i];
    }
    for (const int rows : measured_row_counts(tiles)) {
      EXPECT_TRUE(std::ranges::binary_search(counts, rows)) << rows;
    }
  }
  // Tiles are made of kernels that take 10 ms to make.
  EXPECT_LE(chunk_row_counts(true).size(), 24U);
}

}  // namespace
}  // namespace gembench
