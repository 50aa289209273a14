#include <cmath>
#include <functional>
#include <numeric>
#include <span>

#include "placement/base/index.hpp"
#include "placement/cost/bound.hpp"
#include "placement/cost/cost_choice.hpp"
#include "placement/cost/score.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"
#include "tests/placement/variability.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Row = std::vector<std::int64_t>;

/// A sound placement with replicas and empty slots: any expert anywhere, nothing twice on a rank.
Placement random_placement(Random& random, int layers, int ranks, int experts, int slots) {
  auto placement = empty_placement(layers, ranks, experts, slots);
  placement.strategy = "any";
  for (int layer = 0; layer < layers; ++layer) {
    const auto holds = [&](int rank, int expert) {
      const auto on = placement.on_rank(layer, rank);
      return std::find(on.begin(), on.end(), expert) != on.end();
    };
    const auto put = [&](int rank, int expert) {
      const auto on = placement.on_rank(layer, rank);
      const auto free = std::find(on.begin(), on.end(), -1);
      if (free == on.end() || holds(rank, expert)) return false;
      *free = expert;
      return true;
    };
    for (int e = 0; e < experts; ++e)
      while (!put(int(random.below(std::uint64_t(ranks))), e)) {
      }
    for (auto more = random.below(std::uint64_t(ranks * slots)); more > 0; --more)
      (void)put(int(random.below(std::uint64_t(ranks))), int(random.below(std::uint64_t(experts))));
    for (int rank = 0; rank < ranks; ++rank) random.shuffle(placement.on_rank(layer, rank));
  }
  return placement;
}

TEST(TokenSplit, DealsTokensOneByOne) {
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    const int ranks = 1 + int(random.below(6));
    const int experts = 1 + int(random.below(9));
    const int slots = (experts - 1) / ranks + 1 + int(random.below(3));
    const auto placement = random_placement(random, 2, ranks, experts, slots);
    const auto trace =
        testing::small_trace(2, 2, experts, 1 + int(random.below(std::uint64_t(experts))), 5);
    const TokenSplit split(placement);
    for (int layer = 0; layer < 2; ++layer) {
      Row expected(std::size_t(ranks * slots), 0);  // token j of expert e: replica (e + j) mod c
      for (int e = 0; e < experts; ++e) {
        std::vector<std::size_t> cells;
        for (int rank = 0; rank < ranks; ++rank)
          for (int slot = 0; slot < slots; ++slot)
            if (placement.on_rank(layer, rank)[std::size_t(slot)] == e)
              cells.push_back(std::size_t(rank * slots + slot));
        for (int j = 0; j < trace.loads(1, layer)[std::size_t(e)]; ++j)
          ++expected[cells[std::size_t(e + j) % cells.size()]];
      }
      Row by_slot(expected.size(), -7);
      split.slot_loads(trace.loads(1, layer), layer, by_slot);
      EXPECT_EQ(by_slot, expected);
      Row by_rank(std::size_t(ranks), -7);
      split.rank_loads(trace.loads(1, layer), layer, by_rank);
      for (std::size_t rank = 0; rank < by_rank.size(); ++rank)
        EXPECT_EQ(by_rank[rank],
                  std::accumulate(&expected[rank * std::size_t(slots)],
                                  &expected[rank * std::size_t(slots)] + slots, std::int64_t{0}));
      const auto all = rank_loads(trace, placement);
      EXPECT_TRUE(std::equal(by_rank.begin(), by_rank.end(),
                             all.begin() + (2 + layer) * static_cast<std::ptrdiff_t>(ranks)));
    }
  }
}

TEST(Replicas, MovesAreWeightsThatTravel) {
  auto from = empty_placement(1, 2, 3, 3);
  from.slot_expert = {0, 1, -1, 1, 2, -1};
  EXPECT_EQ(count_duplicates(from), 1);
  auto to = empty_placement(1, 2, 3, 2);
  to.slot_expert = {1, 0, 2, -1};
  EXPECT_EQ(count_moves(from, to), 0) << "dropping a replica moves nothing";
  EXPECT_EQ(count_moves(to, from), 1) << "making one does";
  Random random(4);
  for (int i = 0; i < 50; ++i) {
    const auto a = random_placement(random, 2, 4, 8, 3);
    const auto b = random_placement(random, 2, 4, 8, 4);
    std::int64_t expected = 0;
    for (int layer = 0; layer < 2; ++layer)
      for (int rank = 0; rank < 4; ++rank)
        for (int e = 0; e < 8; ++e) {
          const auto is_on = [&](const Placement& p) {
            const auto on = p.on_rank(layer, rank);
            return std::count(on.begin(), on.end(), e) > 0;
          };
          expected += is_on(b) && !is_on(a);
        }
    EXPECT_EQ(count_moves(a, b), expected);
  }
}

TEST(Replicas, SurviveTheFile) {
  testing::TempDir dir;
  Random random(6);
  PlacementFile file;
  file.placement = random_placement(random, 3, 4, 6, 3);
  write_placement(dir.at("p.json"), file, false);
  const auto read = read_placement(dir.at("p.json")).placement;
  EXPECT_EQ(read.slots, 3);
  EXPECT_EQ(read.slot_expert, file.placement.slot_expert);
}

TEST(Replicas, SlotsAreAskedFor) {
  EXPECT_EQ(empty_placement(1, 3, 6).slots, 2);
  EXPECT_EQ(empty_placement(1, 3, 8, 3).slots, 3);
  EXPECT_EQ(empty_placement(2, 3, 8, 4).slot_expert.size(), 24u);
  EXPECT_EQ(empty_placement(1, 3, 8).slots, 3);  // two ranks with three, one with two
  expect_refused("cannot hold 8 experts; use 3 slots", [] { (void)empty_placement(1, 3, 8, 2); });
  expect_refused("-1 slots", [] { (void)empty_placement(1, 3, 6, -1); });
  expect_refused("impossible size", [] { (void)empty_placement(1, 1 << 20, 6, 1 << 20); });
}

/// Calls `visit` with every sound single-layer placement of the shape.
void for_every_placement(int ranks, int experts, int slots,
                         const std::function<void(const Placement&)>& visit) {
  auto placement = empty_placement(1, ranks, experts, slots);
  auto& cells = placement.slot_expert;
  for (;;) {
    try {
      validate(placement);
      visit(placement);
    } catch (const Error&) {
    }
    std::size_t i = 0;
    while (i < cells.size() && ++cells[i] == experts) cells[i++] = -1;
    if (i == cells.size()) return;
  }
}

TEST(Replicas, BoundIsNeverAboveTheOptimumOverAllPlacements) {
  struct Shape {
    int ranks, experts, slots;
  };
  double tightest = 1e9;
  for (const auto& [ranks, experts, slots] :
       {Shape{2, 3, 2}, Shape{3, 2, 1}, Shape{3, 3, 2}, Shape{2, 2, 2}, Shape{3, 4, 2}}) {
    const auto seeds = ranks * slots > 5 ? 3u : 20u;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const auto trace = testing::small_trace(3, 1, experts, 1, seed);
      const CostModel cost(testing::uneven_profile(ranks, seed, seed % 2));
      double best = HUGE_VAL;
      double least_waste = HUGE_VAL;
      for_every_placement(ranks, experts, slots, [&](const Placement& placement) {
        best = std::min(best, objective(trace, placement, cost));
        least_waste = std::min(least_waste, score(trace, placement, cost).gap);
      });
      const auto bound = lower_bound(trace, cost, slots);
      EXPECT_LE(bound, best * (1 + 1e-12))
          << ranks << ' ' << experts << ' ' << slots << ' ' << seed;
      EXPECT_GE(least_waste, -1e-12);
      tightest = std::min(tightest, best / bound - 1);
      for (const auto* name : {"eplb", "flashlb", "vibe"})
        EXPECT_GE(
            objective(trace,
                      find_strategy(name).plan({.trace = trace, .cost = cost, .slots = slots}),
                      cost),
            best * (1 - 1e-12));
    }
  }
  EXPECT_LT(tightest, 0.05) << "and it is of use";
}

/// Least seconds of a step of experts with tokens in any placement with so many slots and any
/// split: slot after slot, any expert, any number of its tokens.
double least_of_all(const CostModel& cost, std::vector<std::int32_t> left, int slots) {
  std::vector<std::int32_t> of_slots;
  double best = HUGE_VAL;
  const std::function<void()> fill = [&] {
    if (std::ssize(of_slots) == cost.ranks() * slots) {
      double slowest = 0;
      for (int rank = 0; rank < cost.ranks(); ++rank)
        slowest = std::max(slowest, cost.rank_seconds(rank, std::span(of_slots).subspan(
                                                                sz(rank * slots), sz(slots))));
      if (std::ranges::all_of(left, [](int tokens) { return tokens == 0; }))
        best = std::min(best, slowest);
      return;
    }
    of_slots.push_back(0);
    fill();
    for (auto& tokens : left)
      for (int taken = tokens; taken > 0; --taken) {
        of_slots.back() = taken;
        tokens -= taken;
        fill();
        tokens += taken;
      }
    of_slots.pop_back();
  };
  fill();
  return best;
}

TEST(Replicas, BoundPerExpertHoldsHoweverTokensAreSplit) {
  struct Shape {
    int ranks, experts, slots, tokens;
  };
  for (const auto& [ranks, experts, slots, tokens] :
       {Shape{2, 2, 2, 8}, Shape{2, 3, 2, 6}, Shape{3, 3, 1, 9}, Shape{2, 2, 1, 9}}) {
    double sum = 0;
    double bounds = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Random random(seed);
      Trace trace;
      trace.steps = trace.layers = trace.topk = 1;
      trace.experts = experts;
      trace.tokens.assign(sz(experts), 1);  // each needs a slot
      for (int token = experts; token < tokens; ++token)
        ++trace.tokens[random.below(random.below(sz(experts)) + 1)];
      auto profile = testing::uneven_profile(ranks, seed, seed % 2);
      profile.load_points = {0, 4, 8, 20};
      profile.slots = 2;
      if (seed % 3 == 0) {  // h_g bends between the load points, too
        profile.active = {{2, 6}, {1, 2}, {}};
        for (int cell = 0; cell < 4 * ranks; ++cell)
          profile.active.latency.push_back(20 + 40 * random.uniform());
      }
      const CostModel cost(profile, CostKind::per_expert, 1);
      const double best = least_of_all(cost, trace.tokens, slots);
      const double bound = lower_bound(trace, cost, slots);
      EXPECT_LE(bound, best * (1 + 1e-12))
          << ranks << ' ' << experts << ' ' << slots << ' ' << seed;
      sum += best;
      bounds += bound;
    }
    EXPECT_LT(sum, 1.15 * bounds) << "and it is of use: " << experts << " experts on " << ranks;
  }
}

/// Planners come near the bound with every cost model, number of slots and rule, so that a gap says
/// something.
TEST(Replicas, NoGapIsAbsurd) {
  const auto trace = make_trace("bursty", {16, 1, 32, 4, 512, 5});
  auto speeds = testing::slowdowns("two bins 10 %", 8, 3);
  auto profile = testing::prefill_profile(speeds, 4, 10, 0.3, 4096);
  profile.slots = 4;
  auto falling = profile;  // one rank's curve ends below its start, and some loads cost nothing
  for (std::size_t k = 0; k < falling.load_points.size(); ++k)
    falling.latency[k] = 100e-6 - 1e-6 * static_cast<double>(k);
  for (const auto& measured : {profile, falling})
    for (const auto kind : {CostKind::sum, CostKind::per_expert}) {
      const CostModel cost(measured, kind, 4);
      for (const int slots : {4, 5, 6})
        for (const auto rule :
             {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill, SplitRule::least,
              SplitRule::one_per_source, SplitRule::local_first}) {
          const SplitSpec split{rule, &cost};
          const auto plan = find_strategy("gem").plan(
              {.trace = trace, .cost = cost, .slots = slots, .split = split});
          const auto found = score(trace, plan, cost, nullptr, split);
          EXPECT_GE(found.gap, -1e-12);
          EXPECT_LT(found.gap, 0.5)
              << name_of(kind) << ' ' << slots << " slots, rule " << static_cast<int>(rule);
        }
    }
}

TEST(Replicas, BoundKnowsHowManyThereCanBe) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 4;
  trace.tokens = {97, 1, 1, 1};
  const CostModel cost(equal_ranks(4, 100));
  EXPECT_DOUBLE_EQ(lower_bound(trace, cost), 97);
  EXPECT_DOUBLE_EQ(lower_bound(trace, cost, 1), 97);
  EXPECT_NEAR(lower_bound(trace, cost, 2), 25, 1e-9) << "on all four; the fractional share counts";
}

}  // namespace
}  // namespace gembench
