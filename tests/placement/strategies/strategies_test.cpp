#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "placement/cost/score.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/slot_count.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

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
    for (const auto& strategy : strategy_table()) {
      if (strategy.name == "exact" && experts > 8) continue;  // refused, or slow
      const auto placement = strategy.plan({trace, cost, 5});
      EXPECT_NO_THROW(validate(placement)) << strategy.name;
      EXPECT_NO_THROW((void)locations(placement)) << strategy.name << ": no replicas";
      EXPECT_EQ(placement.strategy, strategy.name);
      EXPECT_EQ(placement.slots, experts / ranks);
      EXPECT_EQ(placement.slot_expert, strategy.plan({trace, cost, 5}).slot_expert)
          << strategy.name << ": same seed, same placement";
    }
  }
}

TEST(Strategies, ExpertsNeedNotDivideByRanks) {
  Random random(4);
  for (int i = 0; i < 60; ++i) {
    const int ranks = 2 + int(random.below(7));
    const int experts = 2 + int(random.below(24));
    const auto trace = testing::small_trace(1 + int(random.below(9)), 2, experts,
                                            1 + int(random.below(std::uint64_t(experts))), 3);
    const CostModel cost(testing::uneven_profile(ranks, random.next(), i % 2));
    for (const auto& strategy : strategy_table()) {
      if (strategy.name == "exact" && experts > 8) continue;  // refused, or slow
      SCOPED_TRACE(std::string(strategy.name));
      const auto placement = strategy.plan({trace, cost, 5});
      validate(placement);
      EXPECT_EQ(placement.slots, (experts + ranks - 1) / ranks);
      EXPECT_EQ(count_duplicates(placement), 0) << "nobody asked for replicas";
      EXPECT_NO_THROW(
          validate(plan_by_name(fmt::format("relabel:{}", strategy.name), {trace, cost, 5})));
    }
  }
}

/// Experts that every rank of a layer holds.
std::vector<int> held(const Placement& placement, int layer) {
  std::vector<int> counts;
  for (int rank = 0; rank < placement.ranks; ++rank) {
    const auto slots = placement.on_rank(layer, rank);
    counts.push_back(placement.slots - int(std::ranges::count(slots, -1)));
  }
  return counts;
}

TEST(Strategies, RedundantExpertsFillAllSlots) {
  struct Shape {
    int experts, ranks, replicas, slots;
  };
  // As DeepSeek's models are deployed, and smaller.
  for (const auto& [experts, ranks, replicas, slots] :
       {Shape{256, 24, 8, 11}, Shape{256, 36, 32, 8}, Shape{256, 72, 32, 4}, Shape{256, 144, 32, 2},
        Shape{256, 320, 64, 1}, Shape{8, 3, 1, 3}, Shape{5, 3, 4, 3}, Shape{2, 3, 1, 1},
        Shape{4, 2, 4, 4}}) {
    const auto trace = testing::small_trace(4, 1, experts, 2, 7);
    const CostModel cost(testing::uneven_profile(ranks, 2));
    ASSERT_EQ(count_slots({ranks, experts, 0, replicas}).slots, slots);
    PlanInput input{.trace = trace, .cost = cost, .slots = slots, .replicas = replicas};
    input.all_replicas = true;
    for (const auto& strategy : strategy_table()) {
      if (!strategy.takes.replicas) continue;
      SCOPED_TRACE(fmt::format("{} of {} on {}", strategy.name, experts, ranks));
      const auto placement = strategy.plan(input);
      validate(placement);
      EXPECT_EQ(std::ranges::count(placement.slot_expert, -1), 0);
      EXPECT_EQ(count_duplicates(placement), replicas);
    }
  }
}

TEST(Strategies, MakeExactlyTheReplicasAskedForWhereSlotsAreLeft) {
  const auto trace = testing::small_trace(20, 2, 16, 2, 7);
  const CostModel cost(testing::uneven_profile(5, 2));
  PlanInput input{.trace = trace, .cost = cost, .slots = 4, .replicas = 2};  // 20 slots
  input.all_replicas = true;
  for (const auto& strategy : strategy_table()) {
    if (!strategy.takes.replicas) continue;
    EXPECT_EQ(count_duplicates(strategy.plan(input)), 2 * 2) << strategy.name;
  }
}

/// [layer][expert] its ranks.
std::vector<std::vector<int>> ranks_of(const Placement& placement) {
  std::vector<std::vector<int>> ranks(std::size_t(placement.layers * placement.experts));
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int rank = 0; rank < placement.ranks; ++rank)
      for (auto e : placement.on_rank(layer, rank))
        if (e >= 0) ranks[std::size_t(layer * placement.experts + e)].push_back(rank);
  return ranks;
}

TEST(Strategies, RowsSayWhatChangesAPlan) {
  struct Option {
    const char* name;
    bool Takes::*taken;
    int slots;  ///< with and without it
    void (*give)(PlanInput&);
  };
  const Option options[] = {
      {"seed", &Takes::seed, 0, [](PlanInput& input) { input.seed = 8; }},
      {"spare slots", &Takes::spare_slots, 0, [](PlanInput& input) { input.slots = 8; }},
      {"replicas", &Takes::replicas, 8,
       [](PlanInput& input) { input.replicas = 3, input.all_replicas = true; }},
      {"price", &Takes::node_cost, 0,
       [](PlanInput& input) {
         input.network = {2, false, 1000, 1e-3};
       }},
      {"nodes", &Takes::nodes, 0, [](PlanInput& input) { input.nodes = 2; }},
      {"groups", &Takes::nodes, 0, [](PlanInput& input) { input.nodes = 2, input.groups = 4; }},
  };
  for (const auto& strategy : strategy_table()) {
    if (strategy.name == "exact") continue;  // too many experts for it, and few have ties
    for (const auto& [name, taken, slots, give] : options) {
      bool changed = false;
      for (std::uint64_t draw = 1; draw <= 4 && !changed; ++draw) {
        const auto trace = testing::small_trace(12, 1, 24, 2, draw);
        const CostModel cost(testing::uneven_profile(4, draw));
        const PlanInput plain{.trace = trace, .cost = cost, .seed = 3, .slots = slots};
        auto given = plain;
        give(given);
        changed = ranks_of(strategy.plan(given)) != ranks_of(strategy.plan(plain));
      }
      EXPECT_EQ(changed, strategy.takes.*taken) << strategy.name << ", " << name;
    }
  }
  EXPECT_TRUE(takes_of("relabel:gem").replicas);
  EXPECT_TRUE(takes_of("file:p.json").split);
  EXPECT_FALSE(takes_of("file:p.json").replicas);
  expect_refused("no strategy 'best'", [] { (void)takes_of("relabel:best"); });
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
    for (const auto& strategy : strategy_table()) {
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
    for (const auto& strategy : strategy_table())
      expect_refused("cannot hold", [&] { (void)strategy.plan(few); });
  }
}

TEST(Strategies, RefuseHostileInputInOneLine) {
  const auto sound = testing::small_trace(6, 2, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  for (const auto* name : {"eplb", "eplb-hier", "vibe", "flashlb", "gem", "gem+", "exact"}) {
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
  const auto wide = testing::small_trace(1, 1, 128, 2, 0);
  const CostModel six(equal_ranks(6, 100));
  EXPECT_EQ(held(plan_linear({wide, six, 0}), 0), (std::vector<int>{22, 22, 21, 21, 21, 21}));
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

TEST(Placement, LocationsAndMoves) {
  auto from = empty_placement(1, 2, 4);
  from.slot_expert = {0, 1, 2, 3};
  auto to = from;
  to.slot_expert = {1, 2, 0, 3};  // a new slot on the same rank is no move
  const auto location = locations(to);
  EXPECT_EQ(location[0].rank, 1);
  EXPECT_EQ(location[2].rank, 0);
  EXPECT_EQ(location[2].slot, 1);
  EXPECT_EQ(count_moves(from, to), 2);
  EXPECT_EQ(count_moves(from, from), 0);
  auto replicas = from;
  replicas.slots = 3;
  replicas.slot_expert = {0, 1, 2, 2, 3, -1};
  EXPECT_NO_THROW(validate(replicas));
  expect_refused("replicas are not", [&] { (void)locations(replicas); });
  expect_refused("different shape", [&] { (void)count_moves(from, empty_placement(2, 2, 4)); });
}

}  // namespace
}  // namespace gembench
