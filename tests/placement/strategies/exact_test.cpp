#include "placement/strategies/exact.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/starts.hpp"
#include "placement/strategies/branch_and_bound.hpp"

#include <cmath>

#include "placement/cost/bound.hpp"
#include "placement/cost/objective.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "tests/placement/support.hpp"
#include "tests/placement/variability.hpp"

namespace gembench {
namespace {

double brute_force(const Trace& trace, const CostModel& cost) {
  double optimum = HUGE_VAL;
  testing::for_every_assignment(trace.experts, cost.ranks(), [&](const Assignment& assignment) {
    optimum = std::min(optimum, testing::plain_objective(trace, 0, cost, assignment));
  });
  return optimum;
}

TEST(Exact, EqualsBruteForceOnTinyCases) {
  Random random(1);
  for (std::uint64_t seed = 0; seed < 60; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const int ranks = 1 + int(random.below(4));
      const int experts = ranks * (1 + int(random.below(std::uint64_t(8 / ranks))));
      const auto trace = testing::small_trace(12, 1, experts, 1 + int(seed % 2) % experts, seed);
      auto profile = testing::uneven_profile(ranks, seed, seed % 3 == 1);
      if (seed % 3 == 2 && ranks > 1)  // twins
        std::copy_n(profile.latency.begin(), 4, profile.latency.begin() + 4),
            profile.overhead[1] = profile.overhead[0];
      const CostModel cost(profile, kind, 4);
      const auto optimum = brute_force(trace, cost);
      EXPECT_NEAR(objective(trace, plan_exact({trace, cost, seed}), cost), optimum, 1e-8 * optimum);
      EXPECT_NEAR(objective(trace, plan_gem_plus({trace, cost, seed}), cost), optimum,
                  1e-8 * optimum);
      EXPECT_LE(lower_bound(trace, cost), optimum * (1 + 1e-9)) << "seed " << seed;
    }
}

TEST(Exact, DoesNotNeedAGoodStart) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto trace = testing::small_trace(16, 1, 8, 2, seed);
    const CostModel cost(testing::uneven_profile(4, seed, seed % 2));
    const SearchCosts costs(cost, trace, 2);
    const LayerProblem problem(trace, 0, costs);
    const auto found = solve_exactly(problem, blocks({0, 1, 2, 3, 4, 5, 6, 7}, 2));
    const auto optimum = brute_force(trace, cost);
    EXPECT_NEAR(evaluate(problem, found.assignment), optimum, 1e-9 * optimum);
    EXPECT_EQ(found.gap, 0);
  }
}

TEST(Exact, GivesUpAtTheSamePlaceWithAGapThatHolds) {
  int given_up = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto trace = testing::small_trace(16, 1, 8, 2, seed);
    const CostModel cost(testing::uneven_profile(4, seed, seed % 2));
    const SearchCosts costs(cost, trace, 2);
    const LayerProblem problem(trace, 0, costs);
    const auto optimum = brute_force(trace, cost);
    for (std::int64_t looks : {1, 1000, 4000, 16000, 64000}) {
      const auto found = solve_exactly(problem, blocks({0, 1, 2, 3, 4, 5, 6, 7}, 2), looks);
      const auto seconds = evaluate(problem, found.assignment);
      EXPECT_GE(seconds, optimum * (1 - 1e-9));
      EXPECT_LE(seconds, optimum * (1 + found.gap) * (1 + 1e-9)) << seed << ", " << looks;
      const auto again = solve_exactly(problem, blocks({0, 1, 2, 3, 4, 5, 6, 7}, 2), looks);
      EXPECT_EQ(again.assignment, found.assignment);
      EXPECT_EQ(again.gap, found.gap);
      given_up += found.gap > 0;
    }
  }
  EXPECT_GT(given_up, 10) << "or the gap was never put to the test";
  EXPECT_LT(given_up, 50);
}

TEST(Exact, SaysWhatToDoWhenItGivesUp) {
  const auto trace = testing::small_trace(16, 2, 16, 2, 1);
  const CostModel cost(testing::uneven_profile(8, 1));
  testing::expect_refused("use gem+, or plan on fewer steps", [&] {
    (void)plan_exact({trace, cost, 1}, {}, 1000);
  });
}

/// Gaps to the optimum of gem and gem+ on a few layers of every size and kind of variability. The
/// whole table is what planner_bench prints.
TEST(Exact, GemPlusComesWithinATenthOfAPercent) {
  double gem_sum = 0;
  double plus_sum = 0;
  double plus_worst = 0;
  int count = 0;
  for (auto [experts, ranks] : {std::pair{12, 4}, {16, 4}, {16, 8}})
    for (auto kind : testing::kVariability) {
      const int slots = experts / ranks;
      const auto trace = make_trace("serving", {32, 1, experts, 2, 4096, 7});
      const CostModel cost(testing::prefill_profile(testing::slowdowns(kind, ranks, 3), slots, 105,
                                                    0.59, std::int64_t{4096} * 2));
      const PlanInput input{trace, cost, 1};
      const auto optimum = objective(trace, plan_exact(input), cost);
      EXPECT_LE(lower_bound(trace, cost), optimum * (1 + 1e-12));
      const auto gem = objective(trace, plan_gem(input), cost) / optimum - 1;
      const auto plus = objective(trace, plan_gem_plus(input), cost) / optimum - 1;
      EXPECT_GE(plus, -1e-12);
      gem_sum += gem;
      plus_sum += plus;
      plus_worst = std::max(plus_worst, plus);
      ++count;
    }
  RecordProperty("gem_mean_gap_percent", std::to_string(100 * gem_sum / count));
  RecordProperty("gem_plus_mean_gap_percent", std::to_string(100 * plus_sum / count));
  RecordProperty("gem_plus_worst_gap_percent", std::to_string(100 * plus_worst));
  EXPECT_LE(gem_sum / count, 0.01);
  EXPECT_LE(plus_sum / count, 0.001);
  EXPECT_LE(plus_worst, 0.005);
}

TEST(Exact, RefusesWhatTakesTooLong) {
  const auto trace = testing::small_trace(2, 1, 32, 2, 0);
  testing::expect_refused("limited to 16 experts on 8 ranks, this is 32 on 4", [&] {
    (void)plan_exact({trace, CostModel(equal_ranks(4, 100)), 0});
  });
}

}  // namespace
}  // namespace gembench
