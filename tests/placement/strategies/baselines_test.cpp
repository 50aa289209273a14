#include <cmath>

#include "placement/cost/score.hpp"
#include "placement/strategies/flashlb.hpp"
#include "placement/strategies/relabel.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

Trace one_step(std::vector<std::int32_t> tokens) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = static_cast<int>(tokens.size());
  trace.tokens = std::move(tokens);
  return trace;
}

/// What ViBE's greedy would choose, straight from its description, on rational mean loads.
std::vector<int> plain_vibe(const Trace& trace, int layer, const CostModel& cost, int slots) {
  std::vector<std::int64_t> sum(std::size_t(trace.experts), 0);
  for (int step = 0; step < trace.steps; ++step)
    for (std::size_t e = 0; e < sum.size(); ++e) sum[e] += trace.loads(step, layer)[e];
  std::vector<std::size_t> order;
  for (std::size_t e = 0; e < sum.size(); ++e) order.push_back(e);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return sum[a] > sum[b]; });
  std::vector<std::int64_t> load(std::size_t(cost.ranks()), 0);
  std::vector<int> used(load.size(), 0);
  std::vector<int> rank_of(sum.size());
  const auto between = [&](int rank, double tokens) {  // seconds of a fractional load
    const auto low = std::int64_t(std::floor(tokens));
    const auto at = cost.seconds(rank, low);
    return at + (cost.seconds(rank, low + 1) - at) * (tokens - double(low));
  };
  for (auto e : order) {
    std::size_t best = load.size();
    for (std::size_t r = 0; r < load.size(); ++r) {
      if (used[r] == slots) continue;
      const auto seconds = between(int(r), double(load[r] + sum[e]) / trace.steps);
      const auto least = best == load.size()
                             ? HUGE_VAL
                             : between(int(best), double(load[best] + sum[e]) / trace.steps);
      if (seconds < least - 1e-9) best = r;
    }
    rank_of[e] = int(best);
    load[best] += sum[e];
    ++used[best];
  }
  return rank_of;
}

TEST(Vibe, FollowsItsDefinition) {
  int same = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto trace = testing::small_trace(4, 2, 12, 2, seed);
    const CostModel cost(testing::uneven_profile(4, seed));
    const auto slots = seed % 2 ? 3 : 5;
    const auto location = locations(plan_vibe({.trace = trace, .cost = cost, .slots = slots}));
    for (int layer = 0; layer < 2; ++layer) {
      const auto expected = plain_vibe(trace, layer, cost, slots);
      bool equal = true;
      for (std::size_t e = 0; e < 12; ++e)
        equal &= location[std::size_t(layer) * 12 + e].rank == expected[e];
      same += equal;
    }
  }
  EXPECT_GE(same, 78) << "of 80; nearly equal times may be told apart differently";
}

TEST(Vibe, GivesSlowRanksLess) {
  auto profile = equal_ranks(2, 100);
  profile.latency[3] *= 1.5;  // rank 1 is slow
  const auto trace = one_step({10, 8, 7, 3});
  const auto placement = plan_vibe({trace, CostModel(profile), 0});
  // 10 -> rank 0 (10 s against 15); 8 -> rank 1 (12 against 18); 7 -> rank 0 (17 against 22.5).
  EXPECT_EQ(placement.slot_expert, (std::vector<std::int32_t>{0, 2, 1, 3}));
}

TEST(Vibe, RefusesRanksWithoutSpeed) {
  auto profile = equal_ranks(2, 100);
  profile.latency[3] = 0;
  const auto trace = one_step({1, 2});
  const CostModel cost(profile);
  const auto linear = plan_linear({trace, cost, 0});
  expect_refused("rank 1 takes no time", [&] { (void)plan_vibe({trace, cost, 0}); });
  expect_refused("rank 1 takes no time", [&] { (void)relabel(linear, trace, cost); });
  expect_refused("rank 1 takes no time", [&] { (void)score(trace, linear, cost); });
}

TEST(FlashLb, MomentsAreThoseOfTheLoads) {
  const auto trace = testing::small_trace(9, 2, 5, 2, 3);
  const LoadMoments moments(trace, 1);
  for (std::size_t a = 0; a < 5; ++a)
    for (std::size_t b = 0; b < 5; ++b) {
      double mean_a = 0, mean_b = 0, both = 0;
      for (int step = 0; step < 9; ++step) {
        const double x = trace.loads(step, 1)[a];
        const double y = trace.loads(step, 1)[b];
        mean_a += x / 9;
        mean_b += y / 9;
        both += x * y / 9;
      }
      EXPECT_NEAR(moments.mean[a], mean_a, 1e-9);
      EXPECT_NEAR(moments.between(a, b), both - mean_a * mean_b, 1e-6);
    }
}

TEST(FlashLb, KeepsApartWhatFiresTogether) {
  // All means are equal; 0 and 1 fire together, and 2 and 3, alternately.
  Trace trace = one_step({});
  trace.steps = 4;
  trace.experts = 4;
  trace.tokens = {8, 8, 0, 0, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0, 8, 8};
  const CostModel cost(equal_ranks(2, 100));
  const auto location = locations(plan_flashlb({trace, cost, 0}));
  EXPECT_NE(location[0].rank, location[1].rank);
  EXPECT_NE(location[2].rank, location[3].rank);
  EXPECT_DOUBLE_EQ(score(trace, plan_flashlb({trace, cost, 0}), cost).step_imbalance, 1);
}

TEST(FlashLb, PacksByRiskAsDefined) {
  // Brute force over every rank a replica could go to: the risk of what a rank holds, from scratch.
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto trace = testing::small_trace(6, 1, 6, 2, seed);
    const LoadMoments moments(trace, 0);
    const std::vector<std::int32_t> copies = {1, 3, 1, 2, 1, 1};
    const auto members = pack_by_risk(moments, copies, 3, 3);
    std::vector<std::pair<double, std::int32_t>> items;
    for (std::int32_t e = 0; e < 6; ++e)
      for (int i = 0; i < copies[std::size_t(e)]; ++i)
        items.emplace_back(moments.risk(std::size_t(e)) / copies[std::size_t(e)], e);
    std::stable_sort(items.begin(), items.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    const auto risk_of = [&](const std::vector<std::int32_t>& on) {
      double mean = 0, variance = 0;
      for (auto a : on) {
        mean += moments.mean[std::size_t(a)] / copies[std::size_t(a)];
        for (auto b : on)
          variance += moments.between(std::size_t(a), std::size_t(b)) /
                      (copies[std::size_t(a)] * copies[std::size_t(b)]);
      }
      return mean + kFlashRisk * std::sqrt(std::max(variance, 0.0));
    };
    RankMembers expected(3);
    for (const auto& [risk, e] : items) {
      std::vector<std::int32_t>* best = nullptr;
      double least = HUGE_VAL;
      for (auto& on : expected) {
        if (on.size() == 3 || std::count(on.begin(), on.end(), e)) continue;
        auto with = on;
        with.push_back(e);
        if (risk_of(with) >= least - 1e-9) continue;
        least = risk_of(with);
        best = &on;
      }
      if (best) best->push_back(e);
    }
    EXPECT_EQ(members, expected) << "seed " << seed;
  }
}

TEST(FlashLb, ReplicasHelpAndAreAtMostOneARank) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto trace = testing::small_trace(40, 2, 16, 2, seed);
    const CostModel cost(equal_ranks(4, 200));
    const auto plain = plan_flashlb({trace, cost, 0});
    const auto more = plan_flashlb({.trace = trace, .cost = cost, .slots = 6});
    EXPECT_NO_THROW(validate(more));
    EXPECT_GT(count_duplicates(more), 0);
    EXPECT_LT(score(trace, more, cost).step_imbalance, score(trace, plain, cost).step_imbalance);
  }
}

TEST(FlashLb, IsAsGoodAsItsPublishedExample) {
  // https://github.com/vllm-project/vllm-ascend/pull/3042: 8 devices with 2 slots, EPLB reaches a
  // peak of 232 tokens, FlashLB 205.
  const auto trace = one_step({600, 560, 120, 120, 20, 10, 10, 10});
  const CostModel cost(equal_ranks(8, 2000));
  const PlanInput input{.trace = trace, .cost = cost, .slots = 2};
  EXPECT_DOUBLE_EQ(score(trace, plan_eplb(input), cost).step_mean, 232);
  EXPECT_LE(score(trace, plan_flashlb(input), cost).step_mean, 205);
}

TEST(FlashLb, HandlesMoreSlotsThanReplicas) {
  const auto trace = one_step({5, 0, 1});
  const CostModel one(equal_ranks(1, 10));
  EXPECT_NO_THROW(validate(plan_flashlb({.trace = trace, .cost = one, .slots = 5})));
  const CostModel two(equal_ranks(2, 10));
  const auto all = plan_flashlb({.trace = trace, .cost = two, .slots = 4});
  EXPECT_NO_THROW(validate(all));
  EXPECT_EQ(count_duplicates(all), 3);
}

}  // namespace
}  // namespace gembench
