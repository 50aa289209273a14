#include "placement/score.hpp"
#include "placement/strategy.hpp"
#include "support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

TEST(Strategies, EveryoneMakesSoundPlacementsOfAnyShape) {
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    const int ranks = 1 + int(random.below(6));
    const int experts = ranks * (1 + int(random.below(5)));
    const int topk = 1 + int(random.below(std::uint64_t(experts)));
    const auto trace = testing::small_trace(1 + int(random.below(9)), 1 + int(random.below(3)),
                                            experts, topk, random.next());
    const CostModel cost(testing::uneven_profile(ranks, random.next(), i % 2));
    for (const auto& strategy : strategies()) {
      if (strategy.name == "exact" && experts > 8) continue;  // refused, or slow
      const auto placement = strategy.plan({trace, cost, 5});
      EXPECT_NO_THROW(validate(placement)) << strategy.name;
      EXPECT_NO_THROW((void)homes(placement)) << strategy.name << ": no replicas";
      EXPECT_EQ(placement.strategy, strategy.name);
      EXPECT_EQ(placement.slots, experts / ranks);
      EXPECT_EQ(placement.slot_expert, strategy.plan({trace, cost, 5}).slot_expert)
          << strategy.name << ": same seed, same placement";
    }
  }
}

TEST(Strategies, AllRefuseExpertsThatDoNotDivide) {
  const auto trace = testing::small_trace(2, 1, 8, 2, 0);
  const CostModel cost(equal_ranks(3, 100));
  for (const auto& strategy : strategies())
    expect_refused("8 experts cannot be split evenly over 3 ranks", [&] {
      (void)strategy.plan({trace, cost, 0});
    });
}

TEST(Strategies, AreFoundByName) {
  EXPECT_EQ(find_strategy("eplb").plan, plan_eplb);
  expect_refused("choose one of linear, round-robin, random, eplb, gem",
                 [] { (void)find_strategy("Linear"); });
}

TEST(Strategies, LinearAndRoundRobinAreThoseOfVllm) {
  const auto trace = testing::small_trace(1, 1, 6, 2, 0);
  const CostModel cost(equal_ranks(3, 100));
  EXPECT_EQ(plan_linear({trace, cost, 0}).slot_expert,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(plan_round_robin({trace, cost, 0}).slot_expert,
            (std::vector<std::int32_t>{0, 3, 1, 4, 2, 5}));
}

TEST(Strategies, RandomDependsOnSeedAndLayer) {
  const auto trace = testing::small_trace(1, 2, 32, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  const auto placement = plan_random({trace, cost, 1});
  EXPECT_NE(placement.slot_expert, plan_random({trace, cost, 2}).slot_expert);
  EXPECT_FALSE(std::ranges::equal(placement.on_rank(0, 0), placement.on_rank(1, 0)));
}

TEST(Strategies, EplbPacksMeansAndSeesNeitherTimeNorSpeed) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 6;
  trace.tokens = {10, 1, 7, 3, 8, 2};
  trace.topk = 1;
  for (int slow : {0, 1}) {
    auto profile = equal_ranks(2, 100);
    profile.latency[slow ? 3 : 1] *= 5;
    // 10 | 8, then 7 to the second (15), 3 and 2 to the first (15), 1 to where room is left.
    EXPECT_EQ(plan_eplb({trace, CostModel(profile), 0}).slot_expert,
              (std::vector<std::int32_t>{0, 3, 5, 4, 2, 1}));
  }
}

TEST(Placement, ValidationNamesLayerAndExpert) {
  auto sound = empty_placement(2, 2, 4);
  expect_refused("layer 0: expert 0 is on no rank", [&] { validate(sound); });
  sound.slot_expert = {0, 1, 2, 3, 3, 2, 1, 0};
  EXPECT_NO_THROW(validate(sound));
  struct Case {
    const char* part;
    std::function<void(Placement&)> spoil;
  };
  const Case cases[] = {
      {"layer 1: expert 0 is on no rank", [](Placement& p) { p.on_rank(1, 1)[1] = -1; }},
      {"layer 1: expert 1 is twice on rank 1", [](Placement& p) { p.on_rank(1, 1)[1] = 1; }},
      {"layer 0, rank 1: expert 4 does not exist", [](Placement& p) { p.on_rank(0, 1)[0] = 4; }},
      {"expert -2 does not exist", [](Placement& p) { p.on_rank(0, 1)[0] = -2; }},
      {"holds 8 slots where 12", [](Placement& p) { p.layers = 3; }},
      {"at least 1", [](Placement& p) { p.ranks = 0; }},
      {"impossible size", [](Placement& p) { p.layers = p.ranks = 2000000000; }},
      {"2000000000 experts but only", [](Placement& p) { p.experts = 2000000000; }},
  };
  for (const auto& [part, spoil] : cases) {
    auto placement = sound;
    spoil(placement);
    expect_refused(part, [&] { validate(placement); });
  }
  expect_refused("at least 1", [] { (void)empty_placement(0, 2, 4); });
}

TEST(Placement, HomesAndMoves) {
  auto from = empty_placement(1, 2, 4);
  from.slot_expert = {0, 1, 2, 3};
  auto to = from;
  to.slot_expert = {1, 2, 0, 3};  // a new slot on the same rank is no move
  const auto home = homes(to);
  EXPECT_EQ(home[0].rank, 1);
  EXPECT_EQ(home[2].rank, 0);
  EXPECT_EQ(home[2].slot, 1);
  EXPECT_EQ(count_moves(from, to), 2);
  EXPECT_EQ(count_moves(from, from), 0);
  auto replicas = from;
  replicas.slots = 3;
  replicas.slot_expert = {0, 1, 2, 2, 3, -1};
  EXPECT_NO_THROW(validate(replicas));
  expect_refused("replicas are not", [&] { (void)homes(replicas); });
  expect_refused("different shape", [&] { (void)count_moves(from, empty_placement(2, 2, 4)); });
}

}  // namespace
}  // namespace gembench
