#include <limits>
#include <set>

#include "placement/cost/score.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/replicas.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

using Plan = Placement (*)(const PlanInput&);

constexpr SplitRule kRules[] = {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill,
                                SplitRule::least};

TEST(PlannedReplicas, AreGivenOutOneByOneToTheLargestLoad) {
  Trace layer;
  layer.steps = 2;
  layer.layers = 1;
  layer.experts = 3;
  layer.topk = 1;
  layer.tokens = {10, 4, 1, 10, 4, 3};
  using Copies = std::vector<std::int32_t>;
  EXPECT_EQ(count_copies(layer, 0, 4, ReplicaLoad::mean), (Copies{1, 1, 1}));
  EXPECT_EQ(count_copies(layer, 1, 4, ReplicaLoad::mean), (Copies{2, 1, 1}));
  EXPECT_EQ(count_copies(layer, 3, 4, ReplicaLoad::mean), (Copies{3, 2, 1}));
  EXPECT_EQ(count_copies(layer, 3, 2, ReplicaLoad::mean), (Copies{2, 2, 2}));
  EXPECT_EQ(count_copies(layer, 9, 2, ReplicaLoad::tail), (Copies{2, 2, 2})) << "one a rank";
  const auto split = split_layer(layer, {2, 1, 1});
  EXPECT_EQ(split.expert, (Copies{0, 1, 2, 0}));
  EXPECT_EQ(split.trace.tokens, (Copies{5, 4, 1, 5, 5, 4, 3, 5}));
}

TEST(PlannedReplicas, AreSoundAndNeverWorseThanNone) {
  for (auto kind : {CostKind::sum, CostKind::per_expert})
    for (auto rule : kRules) {
      const auto trace = testing::small_trace(40, 3, 12, 2, 4);
      const CostModel cost(testing::uneven_profile(4, 2), kind, 3);
      PlanInput input{trace, cost, 5, 5};
      const SplitSpec split{rule, &cost};
      input.split = split;
      for (const Plan plan : {Plan(plan_gem), Plan(plan_gem_plus)}) {
        input.replicas = 0;
        const auto none = plan(input);
        EXPECT_EQ(count_duplicates(none), 0);
        for (int replicas : {1, 3, 8}) {
          input.replicas = replicas;
          const auto some = plan(input);
          validate(some);
          for (int layer = 0; layer < 3; ++layer) {
            std::int64_t held = 0;
            for (int rank = 0; rank < 4; ++rank)
              for (auto e : some.on_rank(layer, rank)) held += e >= 0;
            EXPECT_LE(held, 12 + replicas);
          }
          EXPECT_LE(objective(trace, some, cost, split),
                    objective(trace, none, cost, split) * (1 + 1e-2));
        }
      }
    }
}

TEST(PlannedReplicas, AnyThreadsAndAnyPathGiveTheSame) {
  const auto trace = testing::small_trace(100, 4, 32, 4, 8);
  const CostModel cost(testing::uneven_profile(8, 3));
  PlanInput input{trace, cost, 5, 5};
  input.replicas = 8;
  const auto one = plan_gem_plus(input, {.threads = 1, .isa = Isa::plain});
  EXPECT_GT(count_duplicates(one), 0) << "or this tests nothing";
  for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!has_isa(isa)) continue;
    EXPECT_EQ(one.slot_expert, plan_gem_plus(input, {.threads = 3, .isa = isa}).slot_expert);
  }
}

/// The least objective over all placements with at most so many replicas, by trying them.
double brute_force(const Trace& trace, const CostModel& cost, const SplitSpec& split,
                   Placement& placement, std::size_t cell, int free) {
  if (cell == placement.slot_expert.size()) {
    std::set<std::int32_t> seen(placement.slot_expert.begin(), placement.slot_expert.end());
    seen.erase(-1);
    if (int(seen.size()) < placement.experts) return std::numeric_limits<double>::infinity();
    return objective(trace, placement, cost, split);
  }
  const auto first = cell / std::size_t(placement.slots) * std::size_t(placement.slots);
  // Slots of a rank in falling order: their order means nothing, and no expert comes twice.
  const auto most = cell == first ? placement.experts - 1 : placement.slot_expert[cell - 1] - 1;
  auto least = std::numeric_limits<double>::infinity();
  for (auto e = std::max(most, -1); e >= -1; --e) {
    if (e < 0 && free == 0) break;
    placement.slot_expert[cell] = e;
    least = std::min(least, brute_force(trace, cost, split, placement, cell + 1, free - (e < 0)));
  }
  placement.slot_expert[cell] = -1;
  return least;
}

TEST(PlannedReplicas, ComeCloseToTheBestThereIs) {
  double found_sum = 0, best_sum = 0, none_sum = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed)
    for (auto rule : kRules) {
      const auto trace = testing::small_trace(12, 1, 4, 1, seed);
      const CostModel cost(testing::uneven_profile(2, seed));
      PlanInput input{trace, cost, seed, 3};
      const SplitSpec split{rule, &cost};
      input.split = split;
      none_sum += objective(trace, plan_gem_plus(input), cost, split);
      input.replicas = 2;
      auto placement = empty_placement(1, 2, 4, 3);
      const auto best = brute_force(trace, cost, split, placement, 0, 2);
      const auto found = objective(trace, plan_gem_plus(input), cost, split);
      EXPECT_GE(found, best * (1 - 1e-12));
      found_sum += found;
      best_sum += best;
    }
  EXPECT_LT(found_sum, 1.03 * best_sum);
  EXPECT_GT(none_sum, found_sum);
}

TEST(PlannedReplicas, NeedSlots) {
  const auto trace = testing::small_trace(4, 1, 8, 2, 1);
  const CostModel cost(equal_ranks(4, 64));
  PlanInput input{trace, cost, 1};
  input.replicas = 1;
  expect_refused("spare slots", [&] { (void)plan_gem(input); });
  input.slots = 3;
  input.replicas = 5;
  expect_refused("spare slots", [&] { (void)plan_eplb(input); });
  input.replicas = -1;
  expect_refused("replicas", [&] { (void)plan_linear(input); });
}

TEST(PlannedReplicas, BaselinesUseNoMoreThanAsked) {
  const auto trace = testing::small_trace(30, 2, 16, 2, 3);
  const CostModel cost(equal_ranks(4, 256));
  PlanInput input{trace, cost, 1, 6};
  for (const Plan plan : {Plan(plan_eplb), Plan(plan_flashlb)}) {
    input.replicas = 0;
    EXPECT_GT(count_duplicates(plan(input)), 2 * 6) << "every spare slot, if a rank is left";
    input.replicas = 3;
    const auto three = plan(input);
    validate(three);
    EXPECT_EQ(count_duplicates(three), 2 * 3);
  }
  input.nodes = 2;
  input.replicas = 4;
  EXPECT_EQ(count_duplicates(plan_eplb_hier(input)), 2 * 4);
}

}  // namespace
}  // namespace gembench
