#include "moe_layer/dispatch/replicas.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "tests/moe_layer/support.hpp"

namespace gembench {
namespace {

constexpr int kRanks = 4, kExperts = 8, kTopk = 3, kTokens = 50;

/// Ranks of which the last takes twice as long.
Profile profile() {
  Profile profile = equal_ranks(kRanks, kTokens * kRanks * kTopk);
  profile.latency.back() *= 2;
  return profile;
}

/// [rank][token][k]
std::vector<std::vector<std::uint16_t>> random_ids(std::uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<std::uint16_t>> ids(kRanks);
  for (auto& of_rank : ids) {
    for (int token = 0; token < kTokens; ++token) {
      std::vector<std::uint16_t> experts;
      for (std::uint16_t e = 0; e < kExperts; ++e) experts.push_back(e);
      random.shuffle(experts);
      of_rank.insert(of_rank.end(), experts.begin(), experts.begin() + kTopk);
    }
  }
  return ids;
}

std::vector<std::int32_t> counts_of(const std::vector<std::uint16_t>& ids) {
  std::vector<std::int32_t> counts(kExperts, 0);
  for (const auto id : ids) ++counts[id];
  return counts;
}

class Replicas : public testing::TestWithParam<SplitRule> {};

TEST_P(Replicas, every_pair_goes_to_a_physical_slot_of_its_expert_in_the_shares_of_the_split) {
  const CostModel cost(profile());
  const Placement placement = replicated_placement(2, kRanks, kExperts, 4, 7);
  ASSERT_GT(count_duplicates(placement), 0);
  ReplicaChoice choice(placement, {GetParam(), &cost});
  const TokenSplit split(placement, GetParam(), &cost);
  const std::size_t physical_slots = static_cast<std::size_t>(placement.ranks * placement.slots);
  for (int layer = 0; layer < placement.layers; ++layer) {
    const auto ids = random_ids(static_cast<std::uint64_t>(layer));
    std::vector<std::int32_t> all, sum(kExperts, 0);
    for (const auto& of_rank : ids) {
      const auto counts = counts_of(of_rank);
      all.insert(all.end(), counts.begin(), counts.end());
      for (std::size_t e = 0; e < counts.size(); ++e) sum[e] += counts[e];
    }
    std::vector<std::int64_t> got(physical_slots, 0), expected(physical_slots, 0),
        one(physical_slots);
    for (int rank = 0; rank < kRanks; ++rank) {
      auto given = ids[static_cast<std::size_t>(rank)];
      const auto own = counts_of(given);
      choice.choose(layer, rank, choice.needs_all_counts() ? all : own, given);
      for (std::size_t i = 0; i < given.size(); ++i) {
        const Location location = choice.locations().at(given[i]);
        EXPECT_EQ(placement.on_rank(layer, location.rank)[static_cast<std::size_t>(location.slot)],
                  ids[static_cast<std::size_t>(rank)][i]);
        ++got[given[i]];
      }
      if (choice.needs_all_counts()) continue;
      split.slot_loads(own, layer, one, rank);
      for (std::size_t physical_slot = 0; physical_slot < physical_slots; ++physical_slot)
        expected[physical_slot] += one[physical_slot];
    }
    if (choice.needs_all_counts()) split.slot_loads(sum, layer, expected);
    EXPECT_EQ(got, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, Replicas,
                         testing::Values(SplitRule::even, SplitRule::by_speed,
                                         SplitRule::water_fill, SplitRule::least,
                                         SplitRule::one_per_source, SplitRule::local_first));

TEST(ReplicaChoice, refuses_more_physical_slots_than_sixteen_bits_name) {
  const Placement placement = replicated_placement(1, 4096, 256, 17, 1);
  EXPECT_THROW(static_cast<void>(ReplicaChoice(placement, {})), Error);
}

}  // namespace
}  // namespace gembench
