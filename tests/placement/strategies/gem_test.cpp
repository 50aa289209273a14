#include <cmath>

#include "placement/search/layer_problem.hpp"
#include "placement/search/local_search.hpp"
#include "placement/search/starts.hpp"
#include "placement/strategies/gem.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

TEST(Gem, FindsTheExactOptimumOrNearlyOfMixtralSizedLayers) {
  // 8 experts on 4 ranks: 2520 placements, all tried.
  double gap = 0;
  double worst = 0;
  int exact = 0;
  const int instances = 100;
  for (std::uint64_t seed = 0; seed < instances; ++seed) {
    const auto trace = testing::small_trace(16, 1, 8, 2, seed);
    const CostModel cost(testing::uneven_profile(4, seed, seed % 4 == 3));
    double optimum = HUGE_VAL;
    int tried = 0;
    testing::for_every_assignment(8, 4, [&](const std::vector<std::int32_t>& assignment) {
      optimum = std::min(optimum, testing::plain_objective(trace, 0, cost, assignment));
      ++tried;
    });
    ASSERT_EQ(tried, 2520);
    const auto found = objective(trace, plan_gem({trace, cost, seed}), cost);
    EXPECT_GE(found, optimum * (1 - 1e-12)) << "below the optimum: seed " << seed;
    gap += found / optimum - 1;
    worst = std::max(worst, found / optimum - 1);
    exact += found <= optimum * (1 + 1e-12);
  }
  RecordProperty("mean_gap_percent", std::to_string(100 * gap / instances));
  RecordProperty("worst_gap_percent", std::to_string(100 * worst));
  RecordProperty("exact", exact);
  EXPECT_LE(gap / instances, 0.005);
  EXPECT_GE(exact, instances * 9 / 10);
}

TEST(Gem, IncrementalSearchEqualsRecomputationAndLeavesNoSwapThatHelps) {
  Random random(3);
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const int ranks = 1 + int(random.below(5));
    const int slots = 1 + int(random.below(4));
    const int experts = ranks * slots;
    const auto trace =
        testing::small_trace(50, 1, experts, 1 + int(random.below(2)) % experts, seed);
    const CostModel cost(testing::uneven_profile(ranks, seed, seed % 2));
    const SearchCosts costs(cost, trace, slots);
    const LayerProblem problem(trace, 0, costs);
    Assignment assignment;
    for (int e = 0; e < experts; ++e) assignment.push_back(e / slots);
    random.shuffle(assignment);
    const auto start = testing::plain_objective(trace, 0, cost, assignment);
    const auto end = improve(problem, assignment, best_isa());
    EXPECT_LE(end, start);
    EXPECT_NEAR(end, testing::plain_objective(trace, 0, cost, assignment), 1e-12 * start);
    for (std::size_t x = 0; x < assignment.size(); ++x)
      for (std::size_t y = 0; y < x; ++y) {
        auto swapped = assignment;
        std::swap(swapped[x], swapped[y]);
        EXPECT_GE(testing::plain_objective(trace, 0, cost, swapped), end - 1e-8 * start)
            << "seed " << seed << ": experts " << x << " and " << y;
      }
  }
}

TEST(Gem, IsNeverWorseThanItsStarts) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto trace = testing::small_trace(40, 1, 24, 3, seed);
    const CostModel cost(testing::uneven_profile(4, seed));
    const SearchCosts costs(cost, trace, 6);
    const LayerProblem problem(trace, 0, costs);
    const auto gem = objective(trace, plan_gem({trace, cost, seed}), cost) * (1 - 1e-12);
    EXPECT_LE(gem, objective(trace, plan_linear({trace, cost, seed}), cost));
    EXPECT_LE(gem, evaluate(problem, speed_weighted_lpt(problem)));
    EXPECT_LE(gem, evaluate(problem, greedy(problem, best_isa())));
    EXPECT_LE(gem, objective(trace, plan_eplb({trace, cost, seed}), cost)) << "not promised";
  }
}

TEST(Gem, KeepsExpertsThatFireTogetherApart) {
  // Means are equal, so packing cannot tell; experts 0 and 1 burst in the same steps.
  Trace trace;
  trace.steps = 4;
  trace.layers = 1;
  trace.experts = 4;
  trace.topk = 1;
  trace.tokens = {8, 8, 0, 0, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0, 8, 8};
  const CostModel cost(equal_ranks(2, 100));
  EXPECT_DOUBLE_EQ(objective(trace, plan_linear({trace, cost, 0}), cost), 64);
  EXPECT_DOUBLE_EQ(objective(trace, plan_gem({trace, cost, 0}), cost), 32);
}

TEST(Gem, GivesTheSlowRankLess) {
  const auto trace = testing::small_trace(64, 1, 16, 2, 4);
  auto profile = equal_ranks(4, 128);
  profile.latency[3 * 2 - 1] *= 2;  // rank 2
  const CostModel cost(profile);
  const auto placement = plan_gem({trace, cost, 0});
  const auto loads = rank_loads(trace, placement);
  std::vector<std::int64_t> total(4, 0);
  for (std::size_t i = 0; i < loads.size(); ++i) total[i % 4] += loads[i];
  EXPECT_EQ(std::min_element(total.begin(), total.end()) - total.begin(), 2);
}

TEST(Gem, DoesWithoutTokensAndWithFlatCosts) {
  Trace idle;
  idle.steps = idle.layers = idle.topk = 1;
  idle.experts = 4;
  idle.tokens = {0, 0, 0, 0};
  EXPECT_NO_THROW(validate(plan_gem({idle, CostModel(equal_ranks(2, 10)), 0})));
  auto flat = equal_ranks(2, 10);
  flat.latency = {1, 1, 1, 1};
  const auto trace = testing::small_trace(5, 1, 4, 1, 0);
  EXPECT_NO_THROW(validate(plan_gem({trace, CostModel(flat), 0})));
}

TEST(Gem, RefusesLoadsItCannotCount) {
  Trace trace;
  trace.steps = trace.layers = 1;
  trace.experts = trace.topk = 4;
  trace.tokens.assign(4, 2000000000);
  testing::expect_refused("more than gem can count", [&] {
    (void)plan_gem({trace, CostModel(equal_ranks(2, 10)), 0});
  });
}

}  // namespace
}  // namespace gembench
