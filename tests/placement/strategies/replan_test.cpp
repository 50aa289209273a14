#include <limits>

#include "placement/cost/score.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/replan.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// The objective after the best exchange of two slots of different ranks, by trying all.
double best_exchange(const Trace& trace, const CostModel& cost, Placement placement,
                     bool into_empty) {
  auto least = objective(trace, placement, cost);
  for (int a = 0; a < placement.ranks; ++a)
    for (int b = a + 1; b < placement.ranks; ++b)
      for (auto& x : placement.on_rank(0, a))
        for (auto& y : placement.on_rank(0, b)) {
          if (into_empty && x >= 0 && y >= 0) continue;
          std::swap(x, y);
          least = std::min(least, objective(trace, placement, cost));
          std::swap(x, y);
        }
  return least;
}

TEST(Replan, MakesTheSwapThatSavesMost) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const auto trace = testing::small_trace(30, 1, 8, 2, seed);
      const CostModel cost(testing::uneven_profile(4, seed), kind, 3);
      const auto from = plan_random({trace, cost, seed, 3});
      for (int moves : {1, 2}) {
        const auto replanned = replan(from, trace, cost, {.max_moves = moves});
        const auto wanted = best_exchange(trace, cost, from, moves == 1);
        const auto gain = replanned.swaps.empty() ? 0 : replanned.swaps[0].gain;
        EXPECT_NEAR((replanned.before - gain) * trace.steps, wanted, 1e-6 * wanted);
        EXPECT_NEAR(replanned.before * trace.steps, objective(trace, from, cost), 1e-6 * wanted);
        EXPECT_LE(count_moves(from, replanned.placement), moves);
      }
    }
}

TEST(Replan, EverySwapSaysWhatItDoes) {
  const auto trace = testing::small_trace(60, 3, 16, 2, 5);
  const CostModel cost(testing::uneven_profile(4, 5));
  const auto from = plan_random({trace, cost, 5, 5});
  const auto replanned = replan(from, trace, cost, {.max_moves = 6, .move_seconds = 1e-9});
  auto placement = from;
  double gain = 0;
  for (const auto& swap : replanned.swaps) {
    auto& x = placement.on_rank(swap.layer, swap.rank)[std::size_t(swap.slot)];
    auto& y = placement.on_rank(swap.layer, swap.other_rank)[std::size_t(swap.other_slot)];
    EXPECT_EQ(x, swap.expert);
    EXPECT_EQ(y, swap.other);
    EXPECT_GE(swap.expert, 0);
    std::swap(x, y);
    gain += swap.gain;
    EXPECT_DOUBLE_EQ(swap.cost, swap.moves() * 1e-9);
  }
  EXPECT_EQ(placement.slot_expert, replanned.placement.slot_expert);
  EXPECT_NEAR(gain, replanned.before - replanned.after, 1e-9 * replanned.before);
  EXPECT_NEAR(replanned.after, objective(trace, placement, cost) / trace.steps,
              1e-9 * replanned.before);
  EXPECT_EQ(replanned.placement.strategy, "replan:random");
  EXPECT_GT(replanned.cost(), 0);
}

TEST(Replan, LeavesAloneWhatDoesNotPay) {
  const auto trace = testing::small_trace(60, 2, 16, 2, 5);
  const CostModel cost(testing::uneven_profile(4, 5));
  const auto from = plan_random({trace, cost, 5});
  const auto all = replan(from, trace, cost, {.max_moves = 8});
  ASSERT_FALSE(all.swaps.empty());
  double most = 0;
  for (const auto& swap : all.swaps) most = std::max(most, swap.gain);
  const auto none =
      replan(from, trace, cost, {.max_moves = 8, .horizon = 100, .move_seconds = 51 * most});
  EXPECT_TRUE(none.swaps.empty());
  EXPECT_EQ(none.placement.slot_expert, from.slot_expert);
  EXPECT_EQ(none.placement.strategy, "random");
  EXPECT_EQ(none.before, none.after);
  const auto some =
      replan(from, trace, cost, {.max_moves = 8, .horizon = 100, .move_seconds = 49 * most});
  EXPECT_EQ(some.swaps.size(), 1U);
  EXPECT_TRUE(replan(from, trace, cost, {.max_moves = 0}).swaps.empty());
}

TEST(Replan, KeepsReplicasApartAndHelpsByEveryRule) {
  const auto trace = testing::small_trace(60, 2, 16, 2, 7);
  const CostModel cost(testing::uneven_profile(4, 5));
  const CostModel changed(testing::uneven_profile(4, 6));
  PlanInput input{trace, cost, 5, 6};
  input.replicas = 6;
  const auto from = plan_eplb(input);
  ASSERT_GT(count_duplicates(from), 0);
  for (auto rule :
       {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill, SplitRule::least}) {
    const SplitSpec split{rule, &changed};
    const auto found = replan(from, trace, changed, {.max_moves = 10, .split = split});
    validate(found.placement);
    EXPECT_EQ(count_duplicates(found.placement), count_duplicates(from));
    EXPECT_LE(count_moves(from, found.placement), 20);
    EXPECT_LE(found.after, found.before);
    EXPECT_NEAR(found.after, objective(trace, found.placement, changed, split) / trace.steps,
                1e-9 * found.before);
  }
}

TEST(Replan, AnyThreadsAndAnyPathGiveTheSame) {
  const auto trace = testing::small_trace(100, 4, 32, 4, 8);
  const CostModel cost(testing::uneven_profile(8, 3));
  const auto from = plan_eplb({trace, cost, 5});
  const auto one = replan(from, trace, cost, {.threads = 1, .isa = Isa::plain});
  EXPECT_FALSE(one.swaps.empty());
  for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!has_isa(isa)) continue;
    const auto other = replan(from, trace, cost, {.threads = 3, .isa = isa});
    EXPECT_EQ(one.placement.slot_expert, other.placement.slot_expert);
    ASSERT_EQ(one.swaps.size(), other.swaps.size());
    for (std::size_t i = 0; i < one.swaps.size(); ++i)
      EXPECT_EQ(one.swaps[i].gain, other.swaps[i].gain);
  }
}

TEST(Replan, RefusesWhatDoesNotBelongTogether) {
  const auto trace = testing::small_trace(10, 1, 8, 2, 1);
  const CostModel cost(equal_ranks(4, 64));
  const auto from = plan_linear({trace, cost});
  expect_refused("belong together",
                 [&] { (void)replan(from, trace, CostModel(equal_ranks(2, 64)), {}); });
  expect_refused("belong together",
                 [&] { (void)replan(from, testing::small_trace(10, 2, 8, 2, 1), cost, {}); });
}

}  // namespace
}  // namespace gembench
