#include "placement/per_step/step_system.hpp"

#include <limits>
#include <map>
#include <numeric>

#include "placement/cost/token_split.hpp"
#include "placement/per_step/step_score.hpp"
#include "placement/per_step/threshold_planner.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"
#include "tests/placement/variability.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Tokens = std::vector<std::int32_t>;

/// One layer, experts in order on ranks, `spare` slots more on every rank.
Placement in_order(int ranks, int experts, int spare) {
  auto placement = empty_placement(1, ranks, experts, (experts + ranks - 1) / ranks + spare);
  for (int e = 0; e < experts; ++e) placement.on_rank(0, e % ranks)[std::size_t(e / ranks)] = e;
  return placement;
}

/// With copies in some of the spare slots.
Placement with_copies(Placement placement, Random& random) {
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (auto& slot : placement.on_rank(0, rank)) {
      const auto expert = int(random.below(std::uint64_t(placement.experts)));
      const auto own = placement.on_rank(0, rank);
      if (slot < 0 && random.below(2) && std::find(own.begin(), own.end(), expert) == own.end())
        slot = expert;
    }
  return placement;
}

StepPlan planned(std::string_view name, const StepInput& input, const Tokens& tokens) {
  StepPlan plan;
  find_step_system(name).prepare(input).plan(tokens, 0, plan);
  return plan;
}

std::vector<std::int64_t> loads_of(const StepPlan& plan, int ranks) {
  std::vector<std::int64_t> loads(std::size_t(ranks), 0);
  for (std::size_t i = 0; i < plan.tokens.size(); ++i)
    loads[i / (plan.tokens.size() / std::size_t(ranks))] += plan.tokens[i];
  return loads;
}

double slowest(const StepPlan& plan, const CostModel& cost) {
  double most = 0;
  const auto loads = loads_of(plan, cost.ranks());
  for (int r = 0; r < cost.ranks(); ++r)
    most = std::max(most, cost.seconds(r, loads[std::size_t(r)]));
  return most;
}

Tokens random_tokens(Random& random, int experts) {
  Tokens tokens;
  for (int e = 0; e < experts; ++e)
    tokens.push_back(std::int32_t(random.below(random.below(4) == 0 ? 200 : 30)));
  return tokens;
}

TEST(StepSystems, KeepEveryTokenAndEveryRule) {
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    const int ranks = 1 + int(random.below(6)), spare = int(random.below(3));
    const int experts = ranks + int(random.below(9));
    const int each = i % 2 ? 2 : 0, least = i % 3 ? 1 : 7;
    const auto placement = with_copies(in_order(ranks, experts, spare), random);
    const auto tokens = random_tokens(random, experts);
    const CostModel cost(testing::uneven_profile(ranks, std::uint64_t(i), i % 4 == 0));
    for (const auto& system : step_systems()) {
      const StepInput input{placement, cost, each, least};
      const auto prepared = system.prepare(input);
      StepPlan plan, again;
      prepared.plan(tokens, 0, plan);
      prepared.plan(tokens, 0, again);
      EXPECT_EQ(plan.tokens, again.tokens);
      ASSERT_EQ(plan.expert.size(), placement.slot_expert.size());
      ASSERT_EQ(plan.tokens.size(), plan.expert.size());
      Tokens sum(tokens.size(), 0);
      for (int rank = 0; rank < ranks; ++rank) {
        std::map<int, int> held;
        int fetched = 0;
        for (int slot = 0; slot < placement.slots; ++slot) {
          const auto cell = std::size_t(rank * placement.slots + slot);
          const auto expert = plan.expert[cell];
          EXPECT_GE(plan.tokens[cell], 0);
          const auto stays = prepared.base.slot_expert[cell];
          EXPECT_TRUE(stays < 0 || expert == stays) << "what stays has moved";
          if (expert < 0) {
            EXPECT_EQ(plan.tokens[cell], 0);
            continue;
          }
          EXPECT_EQ(++held[expert], 1) << "twice on a rank";
          sum[std::size_t(expert)] += std::int32_t(plan.tokens[cell]);
          if (prepared.base.slot_expert[cell] >= 0) continue;
          ++fetched;
          EXPECT_GE(plan.tokens[cell], least);
          bool near = false;  // its master
          for (int other = 0; other < ranks; ++other)
            for (const auto one : prepared.base.on_rank(0, other))
              near = near || (one == expert && (each == 0 || other / each == rank / each));
          EXPECT_TRUE(near) << "from another node";
        }
        EXPECT_EQ(plan.fetched[std::size_t(rank)], fetched);
        EXPECT_TRUE(system.fetches || fetched == 0);
      }
      EXPECT_EQ(sum, tokens) << system.name;
    }
  }
}

TEST(UltraEp, SharesOutAHotExpertAsItIsDescribed) {
  // 100, 20, 20, 20: the threshold is 40, every other rank takes a quota of 20.
  const CostModel equal(equal_ranks(4, 1));
  const auto placement = in_order(4, 4, 1);
  const auto plan = planned("ultraep", {placement, equal}, {100, 20, 20, 20});
  EXPECT_EQ(plan.expert, (Tokens{0, -1, 1, 0, 2, 0, 3, 0}));
  EXPECT_EQ(plan.tokens, (std::vector<std::int64_t>{40, 0, 20, 20, 20, 20, 20, 20}));
  EXPECT_EQ(plan.fetched, (Tokens{0, 1, 1, 1}));
  // Nodes of two: the other node cannot help. 100 + 20 make 60 each.
  EXPECT_EQ(loads_of(planned("ultraep", {placement, equal, 2}, {100, 20, 20, 20}), 4),
            (std::vector<std::int64_t>{60, 60, 20, 20}));
  // Of several ranks with as much room the lowest takes it.
  EXPECT_EQ(planned("ultraep", {placement, equal, 0, 10}, {30, 10, 10, 10}).fetched,
            (Tokens{0, 1, 0, 0}));
  // Without a free slot nothing moves.
  EXPECT_EQ(loads_of(planned("ultraep", {in_order(4, 4, 0), equal}, {100, 20, 20, 20}), 4),
            (std::vector<std::int64_t>{100, 20, 20, 20}));
}

TEST(UltraEp, WithSpeedsGivesSlowRanksLess) {
  auto profile = equal_ranks(3, 100);
  for (std::size_t k = 4; k < 6; ++k) profile.latency[k] *= 2;  // the last rank
  const CostModel cost(profile);
  const auto placement = in_order(3, 3, 2);
  EXPECT_EQ(loads_of(planned("ultraep", {placement, cost}, {60, 30, 30}), 3),
            (std::vector<std::int64_t>{40, 40, 40}));
  EXPECT_EQ(loads_of(planned("ultraep-speed", {placement, cost}, {60, 30, 30}), 3),
            (std::vector<std::int64_t>{48, 48, 24}));
}

/// The least slowest rank over every way to fill the redundant slots, its tokens split best.
double best_of_all(Placement& placement, const CostModel& cost, const Tokens& tokens,
                   std::size_t cell) {
  if (cell == placement.slot_expert.size()) {
    std::vector<std::int64_t> row(std::size_t(placement.ranks));
    TokenSplit(placement, SplitRule::least, &cost).rank_loads(tokens, 0, row);
    double most = 0;
    for (int r = 0; r < placement.ranks; ++r)
      most = std::max(most, cost.seconds(r, row[std::size_t(r)]));
    return most;
  }
  if (placement.slot_expert[cell] >= 0) return best_of_all(placement, cost, tokens, cell + 1);
  const auto on = placement.on_rank(0, int(cell) / placement.slots);
  auto least = best_of_all(placement, cost, tokens, cell + 1);
  for (int e = 0; e < placement.experts; ++e) {
    if (std::find(on.begin(), on.end(), e) != on.end()) continue;
    placement.slot_expert[cell] = e;
    least = std::min(least, best_of_all(placement, cost, tokens, cell + 1));
    placement.slot_expert[cell] = -1;
  }
  return least;
}

TEST(UltraEp, ComesCloseToTheBestReplicasThereAre) {
  Random random(8);
  double found_sum = 0, best_sum = 0, kept_sum = 0, blind_sum = 0;
  for (int i = 0; i < 60; ++i) {
    const int ranks = 2 + i % 2;
    auto placement = in_order(ranks, 2 * ranks - i % 3 % 2, 1);
    const auto tokens = random_tokens(random, placement.experts);
    const CostModel cost(testing::uneven_profile(ranks, std::uint64_t(i)));
    const StepInput input{placement, cost};
    const auto found = slowest(planned("ultraep-speed", input, tokens), cost);
    std::vector<std::int64_t> row(static_cast<std::size_t>(ranks));
    TokenSplit(placement).rank_loads(tokens, 0, row);
    double kept = 0;
    for (int r = 0; r < ranks; ++r) kept = std::max(kept, cost.seconds(r, row[std::size_t(r)]));
    const auto blind = slowest(planned("ultraep", input, tokens), cost);
    const auto best = best_of_all(placement, cost, tokens, 0);
    EXPECT_GE(found, best * (1 - 1e-12)) << i;
    EXPECT_LE(found, kept) << i;
    found_sum += found;
    best_sum += best;
    kept_sum += kept;
    blind_sum += blind;
  }
  EXPECT_LT(found_sum, 1.03 * best_sum);
  EXPECT_LT(found_sum, 0.97 * blind_sum);
  EXPECT_GT(kept_sum, 1.1 * best_sum) << "or there was nothing to find";
}

TEST(StepSystems, WithEqualSpeedsTheTwoFormsAreOne) {
  Random random(6);
  for (int i = 0; i < 50; ++i) {
    const auto placement = with_copies(in_order(5, 12, 2), random);
    const auto tokens = random_tokens(random, 12);
    const CostModel equal(equal_ranks(5, 50));
    for (const auto& [blind, speed] :
         {std::pair{"ultraep", "ultraep-speed"}, {"lplb", "lplb-speed"}})
      EXPECT_EQ(planned(blind, {placement, equal}, tokens).tokens,
                planned(speed, {placement, equal}, tokens).tokens);
  }
}

/// In decode a fetched expert reads its weights, which a rank's total does not show.
TEST(StepSystems, WithSpeedsAreNeverSlowerWhereExpertsTakeTime) {
  for (const int tokens : {64, 256}) {
    const auto trace = make_trace("power-law", {16, 1, 32, 4, tokens, 5});
    Profile profile = builtin_profile("l40s/gpt-oss-20b", 4);
    apply_slowdown(profile, testing::slowdowns("two bins 10 %", 4, 3), 0);
    const CostModel cost(profile, CostKind::per_expert, 8);
    const auto placement = find_strategy("eplb").plan({.trace = trace, .cost = cost, .slots = 10});
    const StepInput input{placement, cost};
    for (const std::string name : {"ultraep", "lplb"}) {
      const auto seconds = [&](const std::string& system) {
        return score_per_step(trace, find_step_system(system), input).score.step_mean;
      };
      EXPECT_LE(seconds(name + "-speed"), seconds(name) * (1 + 1e-12)) << name << ' ' << tokens;
    }
  }
}

TEST(StepSystems, OneCopyOfEveryExpertIsItsMaster) {
  auto placement = in_order(3, 3, 1);
  for (int rank = 0; rank < 3; ++rank)
    placement.on_rank(0, rank)[1] = (rank + 1) % 3;  // every expert twice
  const auto masters = masters_of(placement);
  EXPECT_EQ(count_duplicates(masters), 0);
  for (int rank = 0; rank < 3; ++rank) {
    const auto on = masters.on_rank(0, rank);
    EXPECT_EQ(std::count(on.begin(), on.end(), -1), 1) << "one master a rank";
  }
  EXPECT_EQ(masters_of(in_order(4, 7, 1)).slot_expert, in_order(4, 7, 1).slot_expert);
}

TEST(StepSystems, ApplyWhereTheyCanDoAnything) {
  auto copies = in_order(4, 4, 1);
  copies.on_rank(0, 0)[1] = 3;
  for (const auto& system : step_systems()) {
    EXPECT_FALSE(system.applies_to(in_order(4, 4, 0)));
    EXPECT_EQ(system.applies_to(in_order(4, 4, 1)), system.fetches);
    EXPECT_TRUE(system.applies_to(copies));
  }
  expect_refused("did you mean", [] { (void)find_step_system("ultrap"); });
  const CostModel equal(equal_ranks(4, 1));
  expect_refused("at least 1 token", [&] { (void)planned("ultraep", {copies, equal, 0, 0}, {}); });
  const CostModel three(equal_ranks(3, 1));
  expect_refused("3", [&] { (void)planned("ultraep-speed", {copies, three}, {}); });
}

TEST(StepScore, IsThatOfThePlansAndCountsTheirWeights) {
  const auto trace = testing::small_trace(6, 2, 12, 2, 3);
  for (auto kind : {CostKind::sum, CostKind::per_expert}) {
    const CostModel cost(testing::uneven_profile(4, 2), kind, 3);
    const auto placement = plan_eplb({.trace = trace, .cost = cost, .slots = 4});
    for (const auto& system : step_systems()) {
      const StepInput input{placement, cost, 2};
      const auto result = score_per_step(trace, system, input);
      const auto prepared = system.prepare(input);
      double seconds = 0, fetched = 0, most_fetched = 0;
      StepPlan plan;
      for (int step = 0; step < trace.steps; ++step)
        for (int layer = 0; layer < trace.layers; ++layer) {
          prepared.plan(trace.loads(step, layer), layer, plan);
          double slowest = 0;
          for (int rank = 0; rank < 4; ++rank) {
            const Tokens own(plan.tokens.begin() + rank * 4, plan.tokens.begin() + rank * 4 + 4);
            slowest = std::max(slowest, cost.rank_seconds(rank, own));
          }
          seconds += slowest;
          fetched += std::accumulate(plan.fetched.begin(), plan.fetched.end(), 0);
          most_fetched += *std::max_element(plan.fetched.begin(), plan.fetched.end());
        }
      EXPECT_NEAR(result.score.step_mean, seconds / trace.steps, 1e-9) << system.name;
      EXPECT_DOUBLE_EQ(result.fetched, fetched / trace.steps);
      EXPECT_DOUBLE_EQ(result.most_fetched, most_fetched / trace.steps);
      EXPECT_EQ(fetched > 0, system.fetches);
      EXPECT_LE(result.score.bound, result.score.step_mean * (1 + 1e-12));
      EXPECT_TRUE(kind == CostKind::per_expert ||
                  result.score.balance.time <= result.score.step_mean * (1 + 1e-12));
      EXPECT_LE(result.score.balance.time, result.score.balance.tokens * (1 + 1e-12));
      EXPECT_GT(result.score.balance.time, 0);
    }
  }
}

}  // namespace
}  // namespace gembench
