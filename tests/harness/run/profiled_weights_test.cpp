#include "harness/run/profiled_weights.hpp"

#include <gtest/gtest.h>

#include <set>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

/// Experts in order, as many on every rank.
Placement in_order(int layers, int experts, int ranks) {
  Placement placement;
  placement.layers = layers;
  placement.experts = experts;
  placement.ranks = ranks;
  placement.slots = experts / ranks;
  for (int layer = 0; layer < layers; ++layer) {
    for (int expert = 0; expert < experts; ++expert) placement.slot_expert.push_back(expert);
  }
  return placement;
}

/// Different experts that these placements put on a rank, of the first layer.
std::size_t held(const std::vector<Placement>& placements, int rank) {
  std::set<int> experts;
  for (const Placement& placement : placements) {
    for (const int expert : placement.on_rank(0, rank)) experts.insert(expert);
  }
  return experts.size();
}

/// What profiled_weights() computes, by drawing: the mean over ranks and draws.
double held_by_random_placements(int experts, int ranks, int count) {
  constexpr int kDraws = 400;
  Random random(7);
  std::size_t sum = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<Placement> drawn;
    for (int i = 0; i < count; ++i) {
      drawn.push_back(in_order(1, experts, ranks));
      random.shuffle(drawn.back().slot_expert);
    }
    for (int rank = 0; rank < ranks; ++rank) sum += held(drawn, rank);
  }
  return static_cast<double>(sum) / (kDraws * ranks);
}

TEST(ProfiledWeights, are_as_many_as_those_of_random_placements) {
  for (const int ranks : {1, 2, 4, 8}) {
    for (const int count : {1, 2, 3, 5}) {
      const Placement profiled = in_order(2, 32, ranks);
      const auto sets = profiled_weights(profiled, count, 1);
      ASSERT_EQ(sets.size(), static_cast<std::size_t>(count));
      EXPECT_EQ(sets.front().slot_expert, profiled.slot_expert);
      for (const Placement& set : sets) validate(set);
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_NEAR(static_cast<double>(held(sets, rank)),
                    held_by_random_placements(32, ranks, count), 1)
            << count << " placements on " << ranks << " ranks";
      }
    }
  }
}

TEST(ProfiledWeights, are_those_of_one_placement_where_no_cache_holds_them) {
  const Placement profiled = in_order(2, 32, 4);
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  EXPECT_EQ(profiled_weights(profiled, 4, 5 * kGiB).size(), 1U);
  EXPECT_EQ(profiled_weights(profiled, 4, 3 * kGiB).size(), 2U);
  EXPECT_EQ(profiled_weights(profiled, 4, 0).size(), 4U);
}

}  // namespace
}  // namespace gembench
