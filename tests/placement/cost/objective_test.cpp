#include "placement/cost/objective.hpp"
#include "placement/cost/bound.hpp"

#include <cmath>
#include <numeric>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

TEST(Objective, EqualsItsDefinition) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto trace = testing::small_trace(7, 3, 12, 2, seed);
    const CostModel cost(testing::uneven_profile(4, seed, seed % 2));
    const auto placement = plan_random({trace, cost, seed});
    const auto location = locations(placement);
    double expected = 0;
    for (int layer = 0; layer < 3; ++layer) {
      std::vector<std::int32_t> assignment;
      for (std::size_t e = 0; e < 12; ++e)
        assignment.push_back(location[static_cast<std::size_t>(layer) * 12 + e].rank);
      expected += testing::plain_objective(trace, layer, cost, assignment);
    }
    EXPECT_NEAR(objective(trace, placement, cost), expected, 1e-9 * expected);
    const auto loads = rank_loads(trace, placement);
    EXPECT_EQ(std::accumulate(loads.begin(), loads.end(), std::int64_t{0}), 7 * 3 * 64 * 2);
  }
}

TEST(Objective, RefusesThingsThatDoNotBelongTogether) {
  const auto trace = testing::small_trace(2, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  const auto placement = plan_linear({trace, cost, 0});
  const CostModel other(equal_ranks(2, 100));
  expect_refused("profile for 2", [&] { (void)objective(trace, placement, other); });
  expect_refused("2 layers of 8 experts, the trace has 1 of 8",
                 [&] { (void)objective(first_layers(trace, 1), placement, cost); });
}

TEST(LowerBound, IsNeverAboveTheExactOptimum) {
  double tightest = 1e9;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto trace = testing::small_trace(3, 1, 6, 1 + int(seed % 3), seed);
    const CostModel cost(testing::uneven_profile(3, seed, seed % 2));
    double best = HUGE_VAL;
    testing::for_every_assignment(6, 3, [&](const std::vector<std::int32_t>& assignment) {
      best = std::min(best, testing::plain_objective(trace, 0, cost, assignment));
    });
    const auto bound = lower_bound(trace, cost);
    EXPECT_LE(bound, best * (1 + 1e-12)) << "seed " << seed;
    EXPECT_GT(bound, 0);
    tightest = std::min(tightest, best / bound - 1);
  }
  EXPECT_LT(tightest, 0.05) << "and it is of use";
}

TEST(LowerBound, IsReachedWhereExpertsAreEven) {
  const auto trace = make_trace("even", {4, 2, 8, 2, 64, 0});
  const CostModel cost(equal_ranks(4, 1000));
  EXPECT_NEAR(lower_bound(trace, cost), objective(trace, plan_linear({trace, cost, 0}), cost),
              1e-6);
}

TEST(LowerBound, KnowsThatAHotExpertSitsSomewhere) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 4;
  trace.tokens = {97, 1, 1, 1};
  auto profile = equal_ranks(2, 100);
  profile.latency = {0, 300, 0, 200};  // 3 and 2 s per token
  EXPECT_DOUBLE_EQ(lower_bound(trace, CostModel(profile)), 98 * 2.0) << "with one more, at least";
}

TEST(Score, SumsUpAPlacement) {
  Trace trace;
  trace.steps = 2;
  trace.layers = 1;
  trace.experts = 4;
  trace.topk = 1;
  trace.tokens = {6, 0, 2, 0, 0, 2, 0, 6};
  const CostModel cost(equal_ranks(2, 100));
  const auto result = score(trace, plan_linear({trace, cost, 0}), cost);
  EXPECT_DOUBLE_EQ(result.step_mean, 6);
  EXPECT_DOUBLE_EQ(result.step_p50, 6);
  EXPECT_DOUBLE_EQ(result.aggregate_imbalance, 1);  // blind to what happens step by step
  EXPECT_DOUBLE_EQ(result.step_imbalance, 1.5);
  EXPECT_DOUBLE_EQ(result.straggler_share, 0.5);
  EXPECT_DOUBLE_EQ(result.bound, 6);
  EXPECT_DOUBLE_EQ(result.gap, 0);
}

TEST(Score, ImbalanceAndQuantile) {
  EXPECT_DOUBLE_EQ(imbalance({0, 0}), 1);
  EXPECT_DOUBLE_EQ(imbalance({}), 1);
  EXPECT_DOUBLE_EQ(imbalance({3, 1}), 1.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.99), 3.97);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.3), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

}  // namespace
}  // namespace gembench
