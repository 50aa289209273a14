#include <limits>

#include "placement/cost/score.hpp"
#include "placement/loads/joined_traces.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/replan.hpp"
#include "placement/strategies/replan_policy.hpp"
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

/// Loads whose hot experts change at step 24 of 48.
struct Shifting {
  Trace whole = testing::small_trace(48, 2, 8, 2, 11);
  CostModel cost{testing::uneven_profile(4, 3), CostKind::per_expert, 3};
  Placement first;
  int planned = 12;

  Shifting() {
    const Trace other = testing::small_trace(24, 2, 8, 2, 12);
    std::ranges::copy(other.tokens, whole.tokens.end() - std::ssize(other.tokens));
    whole.topk_ids.clear();
    whole.task.clear();
    whole.phase.clear();
    first = afresh(slice(whole, 0, planned), {});
  }
  [[nodiscard]] Trace judged() const { return slice(whole, planned, whole.steps - planned); }
  [[nodiscard]] Placement afresh(const Trace& seen, const Placement&) const {
    return plan_vibe({seen, cost, 5, 3});
  }
  [[nodiscard]] std::vector<PolicyPart> follow(int every, double move_seconds) const {
    return gembench::follow({every, move_seconds}, slice(whole, 0, planned), judged(), cost, first,
                            [&](const Trace& seen, const Placement& now) {
                              EXPECT_TRUE(seen.steps == planned || seen.steps == planned / 2);
                              return afresh(seen, now);
                            });
  }
};

Trace every_other(const Trace& trace, int first) {
  Trace half = slice(trace, first, 1);
  for (int step = first + 2; step < trace.steps; step += 2)
    half = joined(half, slice(trace, step, 1));
  return half;
}

/// Of one layer of a placement, straight from the definition: s over all steps.
double plain_seconds(const Trace& trace, int layer, const CostModel& cost,
                     const Placement& placement) {
  std::vector<std::int32_t> rank_of(std::size_t(placement.experts));
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (const auto expert : placement.on_rank(layer, rank))
      if (expert >= 0) rank_of[std::size_t(expert)] = rank;
  return testing::plain_objective(trace, layer, cost, rank_of);
}

/// Experts that ranks of a layer do not hold yet: those of all, and the most of one.
std::pair<int, int> plain_moves(const Placement& from, const Placement& to, int layer) {
  int all = 0, most = 0;
  for (int rank = 0; rank < to.ranks; ++rank) {
    int received = 0;
    for (const auto expert : to.on_rank(layer, rank)) {
      bool held = expert < 0;
      for (const auto other : from.on_rank(layer, rank)) held = held || other == expert;
      received += !held;
    }
    all += received;
    most = std::max(most, received);
  }
  return {all, most};
}

TEST(Policy, AdoptsTheLayersThatPayAndChargesTheRankThatWaitsLongest) {
  const Shifting loads;
  int stayed = 0, changed = 0;
  for (const int every : {1, 5, 9})
    for (const double arrival : {0.0, 3.0, 40.0}) {
      const auto parts = loads.follow(every, arrival);
      ASSERT_FALSE(parts.empty());
      EXPECT_EQ(parts[0].moves, 0);
      Placement now = loads.first;
      std::size_t next = 1;
      for (int step = every; step < loads.whole.steps - loads.planned; step += every) {
        const Trace seen = slice(loads.whole, step, loads.planned);
        const Trace tried = every_other(seen, 0), unseen = every_other(seen, 1);
        const Placement plan = loads.afresh(seen, now), trial = loads.afresh(tried, now);
        std::int64_t moves = 0;
        double seconds = 0;
        for (int layer = 0; layer < 2; ++layer) {
          const double gain = plain_seconds(unseen, layer, loads.cost, now) -
                              plain_seconds(unseen, layer, loads.cost, trial);
          const auto [all, most] = plain_moves(now, plan, layer);
          if (gain / unseen.steps * every <= most * arrival + 1e-9) {
            stayed += all > 0;
            continue;
          }
          moves += all;
          seconds += most * arrival;
          for (int rank = 0; rank < 4; ++rank)
            std::ranges::copy(plan.on_rank(layer, rank), now.on_rank(layer, rank).begin());
        }
        if (moves == 0) continue;
        ++changed;
        ASSERT_LT(next, parts.size());
        EXPECT_EQ(parts[next].first, step);
        EXPECT_EQ(parts[next].placement.slot_expert, now.slot_expert);
        EXPECT_EQ(parts[next].moves, moves);
        EXPECT_EQ(parts[next].moves, count_moves(parts[next - 1].placement, parts[next].placement));
        EXPECT_DOUBLE_EQ(parts[next].seconds, seconds);
        EXPECT_NO_THROW(validate(parts[next].placement));
        ++next;
      }
      EXPECT_EQ(next, parts.size());
    }
  EXPECT_GT(changed, 5) << "the test shows something only if plans change";
  EXPECT_GT(stayed, 5) << "and if some do not pay";
}

TEST(Policy, ItsScoreIsThatOfEveryStepUnderItsPlacement) {
  const Shifting loads;
  const Trace judged = loads.judged();
  const auto parts = loads.follow(7, 1);
  ASSERT_GT(parts.size(), 1U);
  double sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int end = i + 1 < parts.size() ? parts[i + 1].first : judged.steps;
    sum += objective(slice(judged, parts[i].first, end - parts[i].first), parts[i].placement,
                     loads.cost);
  }
  const Score found = score(judged, parts, loads.cost);
  EXPECT_NEAR(found.step_mean, sum / judged.steps, 1e-9 * sum);
  EXPECT_EQ(std::ssize(found.step_seconds), judged.steps);
  EXPECT_LT(found.step_mean, score(judged, loads.first, loads.cost).step_mean);
}

TEST(Policy, ReplanningAfterTheLastStepIsPlanningOnce) {
  const Shifting loads;
  const Trace judged = loads.judged();
  const auto parts = loads.follow(judged.steps, 0);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].placement.slot_expert, loads.first.slot_expert);
  EXPECT_EQ(score(judged, parts, loads.cost).step_seconds,
            score(judged, loads.first, loads.cost).step_seconds);
  EXPECT_EQ(loads.follow(1, 1e9).size(), 1U) << "no gain pays for that";
  expect_refused("every 37 steps does not suit 36", [&] { (void)loads.follow(37, 0); });
  expect_refused("replan every 1 to 36", [&] { (void)loads.follow(0, 0); });
  expect_refused("plan on at least 2", [&] {
    (void)follow({9, 0}, slice(loads.whole, 0, 1), judged, loads.cost, loads.first,
                 [&](const Trace&, const Placement& now) { return now; });
  });
  expect_refused("has 4 slots per rank and the placement in use 3", [&] {
    (void)follow({9, 0}, slice(loads.whole, 0, 12), judged, loads.cost, loads.first,
                 [&](const Trace& seen, const Placement&) {
                   return plan_vibe({seen, loads.cost, 5, 4});
                 });
  });
}

}  // namespace
}  // namespace gembench
