#include <cmath>

#include "placement/placement_file.hpp"
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

TEST(Strategies, FillAnyNumberOfSlots) {
  Random random(2);
  for (int i = 0; i < 100; ++i) {
    const int ranks = 1 + int(random.below(6));
    const int experts = 1 + int(random.below(20));  // need not divide
    const int slots = (experts - 1) / ranks + 1 + int(random.below(4));
    const auto trace = testing::small_trace(1 + int(random.below(9)), 2, experts,
                                            1 + int(random.below(std::uint64_t(experts))), 3);
    const CostModel cost(testing::uneven_profile(ranks, random.next(), i % 2));
    const PlanInput input{.trace = trace, .cost = cost, .seed = 5, .slots = slots};
    for (const auto& strategy : strategies()) {
      if (strategy.name == "exact" && experts > 8) continue;  // refused, or slow
      const auto placement = strategy.plan(input);
      EXPECT_NO_THROW(validate(placement)) << strategy.name;
      EXPECT_EQ(placement.slots, slots) << strategy.name;
      EXPECT_EQ(placement.slot_expert, strategy.plan(input).slot_expert) << strategy.name;
      const bool replicates = strategy.name.starts_with("eplb") || strategy.name == "flashlb";
      EXPECT_TRUE(replicates || count_duplicates(placement) == 0) << strategy.name;
      EXPECT_GE(score(trace, placement, cost).gap, -1e-9) << strategy.name;
    }
    if (experts <= ranks) continue;
    const PlanInput few{.trace = trace, .cost = cost, .slots = (experts - 1) / ranks};
    for (const auto& strategy : strategies())
      expect_refused("cannot hold", [&] { (void)strategy.plan(few); });
  }
}

TEST(Strategies, RefuseHostileInputInOneLine) {
  const auto sound = testing::small_trace(6, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  for (const auto* name :
       {"eplb", "eplb-hier", "vibe", "flashlb", "gem", "gem+", "gem+cv", "exact"}) {
    SCOPED_TRACE(name);
    const auto plan = find_strategy(name).plan;
    auto trace = sound;
    trace.tokens[5] = -3;
    expect_refused("below zero", [&] { (void)plan({trace, cost, 0}); });
    trace = sound;
    trace.tokens.pop_back();
    expect_refused("95 counts where 96 belong", [&] { (void)plan({trace, cost, 0}); });
    expect_refused("0 steps", [&] { (void)plan({slice(sound, 0, 0), cost, 0}); });
    expect_refused("at least 1", [&] { (void)plan({Trace{}, cost, 0}); });
    trace = sound;  // nobody gets anything: sound, if odd
    std::fill(trace.tokens.begin(), trace.tokens.end(), 0);
    EXPECT_NO_THROW(validate(plan({trace, cost, 0})));
  }
  for (double bad : {std::nan(""), -1.0, HUGE_VAL}) {
    auto profile = equal_ranks(4, 100);
    profile.latency[3] = bad;
    expect_refused("which is no time", [&] { (void)CostModel(profile); });
  }
}

TEST(Strategies, ReadPlacementsOfAnyOrigin) {
  testing::TempDir dir;
  const auto trace = testing::small_trace(3, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  PlacementFile file;
  file.placement = plan_random({trace, cost, 3});
  write_placement(dir.at("p.json"), file, false);
  const auto name = "file:" + dir.at("p.json").string();
  const auto read = plan_by_name(name, {trace, cost, 0});
  EXPECT_EQ(read.slot_expert, file.placement.slot_expert);
  EXPECT_EQ(read.strategy, name);
  EXPECT_EQ(plan_by_name("eplb", {trace, cost, 0}).slot_expert,
            plan_eplb({trace, cost, 0}).slot_expert);
  const CostModel two(equal_ranks(2, 100));
  expect_refused("on 4 ranks, here are 8 of 2 on 2", [&] {
    (void)plan_by_name(name, {trace, two, 0});
  });
  expect_refused("8 experts of 2 layers", [&] {
    (void)plan_by_name(name, {first_layers(trace, 1), cost, 0});
  });
  expect_refused("does not exist", [&] { (void)plan_by_name("file:none", {trace, cost, 0}); });
  expect_refused("there is no strategy 'fil'", [&] {
    (void)plan_by_name("fil", {trace, cost, 0});
  });
}

TEST(Strategies, LinearAndRandomDealUnevenNumbersInBlocks) {
  const auto trace = testing::small_trace(1, 1, 5, 2, 0);
  const CostModel cost(equal_ranks(3, 100));
  EXPECT_EQ(plan_linear({.trace = trace, .cost = cost, .slots = 2}).slot_expert,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, -1}));  // as vLLM: the first ranks hold more
  EXPECT_EQ(plan_round_robin({.trace = trace, .cost = cost, .slots = 2}).slot_expert,
            (std::vector<std::int32_t>{0, 3, 1, 4, 2, -1}));
}

TEST(Strategies, AreFoundByName) {
  EXPECT_EQ(find_strategy("eplb").plan, plan_eplb);
  expect_refused("choose one of linear, round-robin, random, eplb, ",
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
