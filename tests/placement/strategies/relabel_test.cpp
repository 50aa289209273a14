#include "placement/strategies/relabel.hpp"

#include <cmath>
#include <numeric>

#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// Least objective over every way to give rows to ranks, one layer.
double best_of_all(const Placement& placement, const Trace& trace, const CostModel& cost) {
  std::vector<int> row_of(static_cast<std::size_t>(placement.ranks));
  std::iota(row_of.begin(), row_of.end(), 0);
  double best = HUGE_VAL;
  auto other = placement;
  do {
    for (int rank = 0; rank < placement.ranks; ++rank)
      std::ranges::copy(placement.on_rank(0, row_of[std::size_t(rank)]),
                        other.on_rank(0, rank).begin());
    best = std::min(best, objective(trace, other, cost));
  } while (std::ranges::next_permutation(row_of).found);
  return best;
}

std::vector<std::vector<std::int32_t>> sorted_rows(const Placement& placement, int layer) {
  std::vector<std::vector<std::int32_t>> rows;
  for (int rank = 0; rank < placement.ranks; ++rank) {
    const auto row = placement.on_rank(layer, rank);
    rows.emplace_back(row.begin(), row.end());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

TEST(Relabel, NeverRaisesTheCostAndKeepsRows) {
  int helped = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const int ranks = 1 + int(seed % 7);
    const auto trace = testing::small_trace(5, 2, ranks * 3, 2, seed);
    const CostModel cost(testing::uneven_profile(ranks, seed, seed % 2));
    for (const auto* name : {"random", "eplb", "flashlb"}) {
      const auto before = find_strategy(name).plan(
          {.trace = trace, .cost = cost, .seed = seed, .slots = seed % 3 ? 3 : 4});
      const auto after = relabel(before, trace, cost);
      EXPECT_NO_THROW(validate(after));
      EXPECT_EQ(after.strategy, before.strategy);
      for (int layer = 0; layer < 2; ++layer)
        EXPECT_EQ(sorted_rows(after, layer), sorted_rows(before, layer));
      const auto was = objective(trace, before, cost);
      EXPECT_LE(objective(trace, after, cost), was * (1 + 1e-12)) << "seed " << seed;
      helped += objective(trace, after, cost) < was * 0.999;
    }
  }
  EXPECT_GT(helped, 90) << "of 180";
}

TEST(Relabel, IsNearTheBestOfAllWays) {
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto trace = testing::small_trace(6, 1, 10, 2, seed);
    const CostModel cost(testing::uneven_profile(5, seed, seed % 2));
    const auto before = plan_eplb({trace, cost, 0});
    const auto best = best_of_all(before, trace, cost);
    const auto gap = objective(trace, relabel(before, trace, cost), cost) / best - 1;
    EXPECT_GE(gap, -1e-12);
    sum += gap;
  }
  EXPECT_LT(sum / 40, 0.005);
}

TEST(Relabel, PutsTheHeavyRowOnTheFastRank) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 2;
  trace.tokens = {10, 20};
  auto profile = equal_ranks(2, 100);
  profile.latency[3] *= 2;
  const CostModel cost(profile);
  EXPECT_EQ(relabel(plan_linear({trace, cost, 0}), trace, cost).slot_expert,
            (std::vector<std::int32_t>{1, 0}));
}

TEST(Relabel, RefusesWhatDoesNotBelongTogether) {
  const auto trace = testing::small_trace(2, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  const auto placement = plan_linear({trace, cost, 0});
  expect_refused("profile for 2",
                 [&] { (void)relabel(placement, trace, CostModel(equal_ranks(2, 100))); });
  expect_refused("the trace has 1",
                 [&] { (void)relabel(placement, first_layers(trace, 1), cost); });
  expect_refused("no steps", [&] { (void)relabel(placement, slice(trace, 0, 0), cost); });
}

}  // namespace
}  // namespace gembench
