#include "placement/cost/score.hpp"
#include "placement/cost/bound.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/strategies/relabel.hpp"

#include <cmath>
#include <numeric>

#include "placement/base/statistics.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/ablation.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

TEST(Score, EqualsItsDefinitions) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const int steps = 5, layers = 2, ranks = 4;
    const auto trace = testing::small_trace(steps, layers, 12, 2, seed);
    const auto profile = testing::uneven_profile(ranks, seed, seed % 2);
    const CostModel cost(profile);
    const auto placement = plan_eplb({.trace = trace, .cost = cost, .slots = seed % 3 ? 3 : 4});
    const auto linear = plan_linear({trace, cost, 0});
    const auto result = score(trace, placement, cost, &linear);
    const auto loads = rank_loads(trace, placement);
    double straggle = 0, by_load = 0, imbalanced = 0;
    std::vector<double> step_seconds(steps, 0);
    std::vector<std::int64_t> summed(layers * ranks, 0);
    for (std::size_t i = 0; i < loads.size(); i += ranks) {
      double most = 0, sum = 0, equal_most = 0, equal_sum = 0;
      for (std::size_t r = 0; r < ranks; ++r) {
        double equal = 0;  // the mean over ranks of what this load would take
        for (int g = 0; g < ranks; ++g) equal += cost.seconds(g, loads[i + r]) / ranks;
        const auto own = cost.seconds(int(r), loads[i + r]);
        most = std::max(most, own);
        sum += own;
        equal_most = std::max(equal_most, equal);
        equal_sum += equal;
        summed[i % (layers * ranks) + r] += loads[i + r];
      }
      step_seconds[i / (layers * ranks)] += most;
      straggle += most - sum / ranks;
      by_load += equal_most - equal_sum / ranks;
      imbalanced +=
          imbalance({loads.begin() + std::ptrdiff_t(i), loads.begin() + std::ptrdiff_t(i) + ranks});
    }
    EXPECT_NEAR(result.step_mean,
                std::accumulate(step_seconds.begin(), step_seconds.end(), 0.0) / steps, 1e-9);
    EXPECT_NEAR(result.step_mean * steps, objective(trace, placement, cost), 1e-9);
    EXPECT_NEAR(result.step_p50, quantile(step_seconds, 0.5), 1e-9);
    EXPECT_NEAR(result.step_p99, quantile(step_seconds, 0.99), 1e-9);
    EXPECT_NEAR(result.straggle, straggle / steps, 1e-9);
    EXPECT_NEAR(result.straggle_load, by_load / steps, 1e-9);
    EXPECT_NEAR(result.straggle_load + result.straggle_speed, result.straggle, 1e-9);
    EXPECT_NEAR(result.step_imbalance, imbalanced / (steps * layers), 1e-9);
    EXPECT_NEAR(result.aggregate_imbalance,
                (imbalance({summed.begin(), summed.begin() + ranks}) +
                 imbalance({summed.begin() + ranks, summed.end()})) /
                    2,
                1e-9);
    EXPECT_EQ(result.moves, count_moves(linear, placement));
    EXPECT_EQ(result.duplicates, count_duplicates(placement));
    EXPECT_NEAR(result.bound * steps, lower_bound(trace, cost, placement.slots), 1e-9);
    EXPECT_GE(result.gap, -1e-12);
    EXPECT_GE(result.straggle, 0);
    EXPECT_GE(result.straggle_load, 0);
  }
}

TEST(Score, TellsLoadFromSpeed) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 2;
  trace.tokens = {10, 10};
  auto profile = equal_ranks(2, 100);
  profile.latency[3] *= 1.5;  // 10 and 15 s: all of it is speed
  const CostModel uneven(profile);
  const auto linear = plan_linear({trace, uneven, 0});
  auto result = score(trace, linear, uneven);
  EXPECT_DOUBLE_EQ(result.straggle, 2.5);
  EXPECT_DOUBLE_EQ(result.straggle_load, 0);
  EXPECT_DOUBLE_EQ(result.straggle_speed, 2.5);
  trace.tokens = {15, 10};  // 15 and 15 s: the load makes up for the speed
  result = score(trace, linear, uneven);
  EXPECT_NEAR(result.straggle, 0, 1e-12);
  EXPECT_DOUBLE_EQ(result.straggle_load, (15 - 12.5) * 1.25);
  EXPECT_DOUBLE_EQ(result.straggle_speed, -result.straggle_load);
  result = score(trace, linear, CostModel(equal_ranks(2, 100)));  // all of it is load
  EXPECT_DOUBLE_EQ(result.straggle, 2.5);
  EXPECT_DOUBLE_EQ(result.straggle_speed, 0);
}

TEST(Score, JudgesByTheCostModelItIsGiven) {
  // A curve with a large fixed part, so that many active experts cost more than their tokens.
  Profile profile = equal_ranks(2, 64);
  profile.load_points = {0, 2, 64};
  profile.latency = {0, 10, 41, 0, 12, 50};
  profile.spread.assign(6, 0);
  const auto trace = make_trace("serving", {40, 2, 8, 2, 16, 3});
  for (const auto kind : {CostKind::sum, CostKind::per_expert}) {
    const CostModel cost(profile, kind, 4);
    for (const auto* name : {"linear", "gem", "relabel:gem"}) {
      const auto placement = plan_by_name(name, {trace, cost, 0});
      const auto judged = score(trace, placement, cost);
      EXPECT_NEAR(judged.step_mean * trace.steps, objective(trace, placement, cost), 1e-6) << name;
      EXPECT_GE(judged.gap, -1e-9) << name;
    }
    const auto gem = plan_by_name("gem", {trace, cost, 0});
    EXPECT_LE(objective(trace, relabel(gem, trace, cost), cost),
              objective(trace, gem, cost) * (1 + 1e-12));
  }
}

TEST(Score, JudgesThousandsOfRanks) {
  const auto trace = testing::small_trace(8, 2, 256, 8, 1);
  auto profile = equal_ranks(4096, 1000);
  for (std::size_t rank = 0; rank < 4096; ++rank)
    profile.latency[rank * 2 + 1] *= 1 + 0.0001 * double(rank % 97);
  const CostModel cost(profile);
  const auto placement = plan_eplb({.trace = trace, .cost = cost, .slots = 1});
  const auto result = score(trace, placement, cost);
  EXPECT_EQ(result.duplicates, 2 * (4096 - 256));
  EXPECT_GE(result.gap, 0);
}

TEST(Score, RefusesWhatDoesNotBelongTogether) {
  const auto trace = testing::small_trace(2, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  const auto placement = plan_linear({trace, cost, 0});
  expect_refused("no steps", [&] { (void)score(slice(trace, 0, 0), placement, cost); });
  expect_refused("profile for 2",
                 [&] { (void)score(trace, placement, CostModel(equal_ranks(2, 100))); });
  expect_refused("the trace has 1", [&] { (void)score(first_layers(trace, 1), placement, cost); });
  const auto foreign = empty_placement(2, 2, 8);
  expect_refused("different shape", [&] { (void)score(trace, placement, cost, &foreign); });
  auto broken = placement;
  broken.slot_expert[0] = 1;
  expect_refused("twice on rank 0", [&] { (void)score(trace, broken, cost); });
}

TEST(HoldOut, SplitsInTime) {
  const auto trace = testing::small_trace(10, 1, 4, 2, 0);
  for (const auto& [share, plan] : {std::pair{0.5, 5}, {0.01, 1}, {0.99, 9}, {0.74, 7}}) {
    const auto split = hold_out(trace, share);
    EXPECT_EQ(split.plan.steps, plan);
    EXPECT_EQ(split.judged.steps, 10 - plan);
    EXPECT_TRUE(std::ranges::equal(split.judged.loads(0, 0), trace.loads(plan, 0)));
  }
  for (auto share : {0.0, 1.0, -1.0, 2.0, std::nan("")})
    expect_refused("is no share", [&] { (void)hold_out(trace, share); });
  expect_refused("cannot be split", [&] { (void)hold_out(slice(trace, 0, 1), 0.5); });
}

TEST(Ablation, TellsTheWorthOfTimeAndSpeed) {
  double seconds[4] = {0, 0, 0, 0};
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto split = hold_out(testing::small_trace(200, 2, 16, 2, seed), 0.5);
    auto profile = equal_ranks(4, 200);
    for (std::size_t rank = 0; rank < 4; ++rank)
      profile.latency[rank * 2 + 1] *= 1 + 0.1 * double(rank);
    const CostModel cost(profile);
    const PlanInput input{split.plan, cost, seed};
    const auto rows = ablation(input, split.judged, input.cost);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(rows[i].per_step, i >= 2);
      EXPECT_EQ(rows[i].measured_speed, i % 2 == 1);
      seconds[i] += rows[i].score.step_mean;
    }
    EXPECT_EQ(rows[3].score.step_mean, score(split.judged, plan_gem(input), cost).step_mean)
        << "the last is the strategy itself";
  }
  EXPECT_LT(seconds[1], seconds[0]) << "speed helps";
  EXPECT_LT(seconds[2], seconds[0]) << "time helps";
  EXPECT_LT(seconds[3], seconds[1]);
  EXPECT_LT(seconds[3], seconds[2]);
}

TEST(Ablation, IsBlindToWhatItIsNotTold) {
  const auto split = hold_out(testing::small_trace(20, 1, 8, 2, 3), 0.5);
  const CostModel cost(testing::uneven_profile(4, 3));
  const auto rows = ablation({split.plan, cost, 1}, split.judged, cost, plan_vibe);
  EXPECT_EQ(rows[0].score.step_mean, rows[2].score.step_mean) << "vibe sees means only";
  EXPECT_EQ(rows[1].score.step_mean, rows[3].score.step_mean);
  const auto eplb = ablation({split.plan, cost, 1}, split.judged, cost, plan_eplb);
  for (const auto& row : eplb) EXPECT_EQ(row.score.step_mean, eplb[0].score.step_mean);
  const CostModel truth(testing::uneven_profile(4, 5));  // planned on other speeds than judged on
  const auto judged = ablation({split.plan, cost, 1}, split.judged, truth, plan_eplb);
  EXPECT_EQ(judged[0].score.step_mean,
            score(split.judged, plan_eplb({split.plan, cost, 1}), truth).step_mean);
  EXPECT_NE(judged[0].score.step_mean, eplb[0].score.step_mean);
}

}  // namespace
}  // namespace gembench
