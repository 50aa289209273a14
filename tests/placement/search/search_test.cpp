#include <cmath>

#include "placement/search/layer_problem.hpp"
#include "placement/search/local_search.hpp"
#include "placement/search/starts.hpp"
#include "placement/search/swap_descent.hpp"
#include "placement/strategies/exact.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "tests/placement/support.hpp"
#include "tests/placement/variability.hpp"

namespace gembench {
namespace {

using testing::plain_objective;

/// Both cost models on the same ranks; every other profile has pieces that fall.
CostModel some_cost(int ranks, std::uint64_t seed, CostKind kind) {
  return CostModel(testing::uneven_profile(ranks, seed, seed % 2 == 1), kind, 4);
}

/// Problem and everything it needs, for one layer.
struct Case {
  Case(int steps, int ranks, int slots, std::uint64_t seed, CostKind kind)
      : trace(testing::small_trace(steps, 1, ranks * slots, 1 + int(seed % 3) % (ranks * slots),
                                   seed)),
        cost(some_cost(ranks, seed, kind)),
        costs(cost, trace, slots),
        problem(trace, 0, costs) {}
  [[nodiscard]] Assignment random_assignment(Random& random) const {
    std::vector<std::int32_t> order;
    for (std::size_t e = 0; e < problem.experts; ++e) order.push_back(std::int32_t(e));
    random.shuffle(order);
    return blocks(order, problem.slots);
  }
  Trace trace;
  CostModel cost;
  SearchCosts costs;
  LayerProblem problem;
};

template <class Units>
void expect_gains_equal_recomputation(const Case& c, Random& random, Isa isa) {
  const auto start = c.random_assignment(random);
  SwapSearch<Units> search(c.problem, start, isa);
  const auto before = plain_objective(c.trace, 0, c.cost, start);
  EXPECT_NEAR(search.value(), before, 1e-8 * before);
  std::vector<std::vector<std::size_t>> members(c.problem.ranks);  // [rank][slot]
  for (std::size_t e = 0; e < start.size(); ++e) members[std::size_t(start[e])].push_back(e);
  for (std::size_t a = 0; a < c.problem.ranks; ++a)
    for (std::size_t b = 0; b < c.problem.ranks; ++b) {
      if (a == b) continue;
      const auto gains = search.gains(a, b);
      auto gain = gains.begin();
      for (auto x : members[a])
        for (auto y : members[b]) {
          auto swapped = start;
          std::swap(swapped[x], swapped[y]);
          const auto after = plain_objective(c.trace, 0, c.cost, swapped);
          EXPECT_NEAR(*gain++, before - after, 1e-8 * before);
        }
    }
}

TEST(SwapSearch, IncrementalObjectiveEqualsRecomputation) {
  Random random(1);
  for (std::uint64_t seed = 0; seed < 24; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert})
      for (auto isa : {Isa::plain, best_isa()}) {
        const Case c(1 + int(random.below(150)), 1 + int(random.below(6)), 1 + int(random.below(4)),
                     seed, kind);
        if (c.costs.narrow())
          expect_gains_equal_recomputation<std::int16_t>(c, random, isa);
        else
          expect_gains_equal_recomputation<std::int32_t>(c, random, isa);
      }
}

template <class Units>
void expect_gains_equal_a_new_search(const Case& c, Random& random) {
  const auto& p = c.problem;
  SwapSearch<Units> search(p, c.random_assignment(random), best_isa());
  for (int swap = 0; swap < 300; ++swap) {
    const auto a = random.below(p.ranks);
    const auto b = (a + 1 + random.below(p.ranks - 1)) % p.ranks;
    search.make({a, random.below(p.slots), b, random.below(p.slots), 0});
    if (swap % 20 != 0) continue;
    SwapSearch<Units> fresh(p, search.assignment(), best_isa());
    EXPECT_NEAR(search.value(), fresh.value(), 1e-12 * fresh.value());
    const auto gains = search.gains(a, b);
    const auto expected = fresh.gains(a, b);
    const auto slot_of = [&](std::size_t rank, std::uint32_t expert) {
      std::size_t s = 0;
      while (fresh.expert(rank, s) != expert) ++s;
      return s;
    };
    for (std::size_t i = 0; i < p.slots; ++i)
      for (std::size_t j = 0; j < p.slots; ++j)
        EXPECT_NEAR(gains[i * p.slots + j],
                    expected[slot_of(a, search.expert(a, i)) * p.slots +
                             slot_of(b, search.expert(b, j))],
                    1e-10 * fresh.value());
  }
}

TEST(SwapSearch, GainsAfterManySwapsEqualThoseOfANewSearch) {
  Random random(9);
  for (int ranks : {2, 3, 5, 7, 16})
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const Case c(70, ranks, 1 + int(random.below(3)), std::uint64_t(ranks), kind);
      if (c.costs.narrow())
        expect_gains_equal_a_new_search<std::int16_t>(c, random);
      else
        expect_gains_equal_a_new_search<std::int32_t>(c, random);
    }
}

TEST(LayerProblem, EveryNthStepIsTheProblemOfThoseSteps) {
  const Case c(131, 4, 3, 5, CostKind::sum);
  Trace few = c.trace;
  few.tokens.clear();
  few.steps = 0;
  for (int t = 0; t < c.trace.steps; t += 3) {
    const auto row = c.trace.loads(t, 0);
    few.tokens.insert(few.tokens.end(), row.begin(), row.end());
    ++few.steps;
  }
  const LayerProblem expected(few, 0, c.costs);
  const auto found = every_nth_step(c.problem, 3);
  EXPECT_EQ(found.steps, expected.steps);
  EXPECT_EQ(found.narrow, expected.narrow);
  EXPECT_EQ(found.wide, expected.wide);
  EXPECT_EQ(found.totals, c.problem.totals);
}

TEST(SwapSearch, CountsLoadsOfMoreThan16Bits) {
  Trace trace = testing::small_trace(20, 1, 12, 2, 3);
  for (auto& tokens : trace.tokens) tokens *= 5000;
  auto profile = testing::uneven_profile(4, 3);
  for (auto& load_point : profile.load_points) load_point *= 5000;
  const CostModel cost(profile);
  const SearchCosts costs(cost, trace, 3);
  EXPECT_FALSE(costs.narrow());
  const auto wide = plan_gem({trace, cost, 1});
  Trace small = testing::small_trace(20, 1, 12, 2, 3);
  const CostModel small_cost(testing::uneven_profile(4, 3));
  EXPECT_NEAR(objective(trace, wide, cost),
              objective(small, plan_gem({small, small_cost, 1}), small_cost), 1e-6);
}

TEST(SwapSearch, DescentEndsWhereNoSwapHelpsWithBothModels) {
  Random random(2);
  for (std::uint64_t seed = 0; seed < 30; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const Case c(60, 1 + int(random.below(5)), 1 + int(random.below(4)), seed, kind);
      auto assignment = c.random_assignment(random);
      const auto start = plain_objective(c.trace, 0, c.cost, assignment);
      const auto end = improve(c.problem, assignment, best_isa());
      EXPECT_LE(end, start * (1 + 1e-8));
      EXPECT_NEAR(end, plain_objective(c.trace, 0, c.cost, assignment), 1e-8 * start);
      for (std::size_t x = 0; x < assignment.size(); ++x)
        for (std::size_t y = 0; y < x; ++y) {
          auto swapped = assignment;
          std::swap(swapped[x], swapped[y]);
          EXPECT_GE(plain_objective(c.trace, 0, c.cost, swapped), end - 1e-7 * start)
              << "seed " << seed << ": experts " << x << " and " << y;
        }
    }
}

TEST(SwapSearch, PerturbationsNeverMakeItWorse) {
  Random random(4);
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Case c(80, 4, 4, seed, seed % 2 ? CostKind::per_expert : CostKind::sum);
    auto plain = c.random_assignment(random);
    auto perturbed = plain;
    const auto without = improve(c.problem, plain, best_isa());
    EXPECT_LE(improve_with_perturbations(c.problem, perturbed, best_isa(), 10, random), without);
  }
}

TEST(SearchCosts, RoomIsNeverTooLarge) {
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const Case c(3, 3, 2, seed, kind);
      for (std::size_t r = 0; r < 3; ++r)
        for (double share = 0; share <= 1.2; share += 0.0371) {
          auto lowest = c.costs.of(0).least_from(0);
          for (std::size_t other = 1; other < 3; ++other)
            lowest = std::min(lowest, c.costs.of(other).least_from(0));
          const auto seconds = std::max(lowest, share * c.costs.of(r)(c.costs.max_load()));
          const auto within = c.costs.load_within(r, c.costs.level(seconds));
          const auto last = std::min<std::int64_t>(within, c.costs.max_load());
          const auto step = std::max<std::int64_t>(1, last / 500);
          for (std::int64_t load = 0; load <= last; load += step)
            EXPECT_LE(c.costs.of(r)(load), seconds * (1 + 1e-9));
        }
    }
}

TEST(Search, IncrementalEqualsRecomputationWithManyLoadPoints) {
  Random random(6);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const auto trace = testing::small_trace(60, 1, 16, 2, seed);
    auto profile = equal_ranks(4, 256);
    profile.load_points.clear();
    profile.latency.clear();
    for (int k = 0; k <= 128; ++k) profile.load_points.push_back(2 * k);
    for (int rank = 0; rank < 4; ++rank)
      for (int k = 0; k <= 128; ++k) profile.latency.push_back((1 + 0.1 * rank) * (k / 8 + 1));
    profile.spread.assign(profile.latency.size(), 0);
    const CostModel cost(profile);
    const SearchCosts costs(cost, trace, 4);
    const LayerProblem problem(trace, 0, costs);
    Assignment assignment;
    for (int e = 0; e < 16; ++e) assignment.push_back(e / 4);
    random.shuffle(assignment);
    const auto plain = [&] {
      auto copy = assignment;
      return improve(problem, copy, Isa::plain);
    }();
    const auto end = improve(problem, assignment, best_isa());
    EXPECT_EQ(end, plain);
    EXPECT_NEAR(end, testing::plain_objective(trace, 0, cost, assignment), 1e-9 * end);
  }
}

TEST(Search, SamePlacementOnAnyPathAndAnyNumberOfThreads) {
  for (std::uint64_t seed = 0; seed < 2; ++seed)
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const auto trace = testing::small_trace(100, 5, 32, 4, seed);
      const auto cost = some_cost(8, seed, kind);
      const PlanInput input{trace, cost, seed};
      const auto gem = plan_gem(input, {1, Isa::plain});
      const auto plus = plan_gem_plus(input, {1, Isa::plain, 5});
      for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
        if (!has_isa(isa)) continue;  // AVX-512 is covered only where the CPU has it
        for (int threads : {1, 3}) {
          EXPECT_EQ(plan_gem(input, {threads, isa}).slot_expert, gem.slot_expert);
          EXPECT_EQ(plan_gem_plus(input, {threads, isa, 5}).slot_expert, plus.slot_expert);
        }
      }
    }
}

/// Stairs of many lines, as tiles of tokens make them; every third one falls.
std::vector<RankCost::Line> stairs(int lines) {
  std::vector<RankCost::Line> result;
  for (int i = 0; i < lines; ++i)
    result.push_back({double(3 * i), double(i % 3 + i), i % 3 == 1 ? -0.25 : 0.4});
  return result;
}

TEST(Search, LookingLinesUpGivesTheBitsOfTryingThemAll) {
  Random random(5);
  const auto lines = stairs(100);
  const RankCost curve(lines, 400);
  const std::size_t count = 5 * kLanes;
  std::vector<double> numbers[7];
  for (auto& row : numbers)
    for (std::size_t k = 0; k < count; ++k) row.push_back(double(random.below(200)));
  for (auto& out : numbers[6]) out /= 2;
  for (std::size_t k = 0; k < count; ++k) {
    numbers[5][k] += 100;
    numbers[6][k] = double(int(numbers[6][k]));
  }
  const std::vector<double> rest(count / kGainBlock + 2, 1e9);
  CriticalSteps steps{count,
                      numbers[0].data(),
                      numbers[1].data(),
                      numbers[2].data(),
                      rest.data(),
                      numbers[3].data(),
                      numbers[4].data(),
                      numbers[5].data(),
                      numbers[6].data(),
                      lines,
                      lines,
                      &curve,
                      &curve};
  double lanes[kLanes] = {};
  const auto seconds = [&](double load) {
    auto line = lines.end() - 1;
    while (load < line->start) --line;
    return line->base + line->slope * (load - line->start);
  };
  for (std::size_t k = 0; k < count; ++k) {
    const auto a = seconds(numbers[3][k] + numbers[4][k]);
    const auto b = seconds(numbers[5][k] - numbers[6][k]);
    lanes[k % kLanes] += numbers[2][k] * (numbers[1][k] - std::max({a, b, numbers[0][k]}));
  }
  const auto expected = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                        ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512})
    EXPECT_EQ(critical_gain(isa)(steps, -1e9), expected);
}

TEST(Search, KernelsGiveTheSameBitsOnEveryPath) {
  Random random(9);
  std::vector<double> numbers[8];
  for (int i = 0; i < 200; ++i) {
    const std::size_t count = kLanes * (1 + random.below(12));
    for (auto& row : numbers) {
      row.resize(count);
      for (auto& value : row) value = 100 * random.uniform();
    }
    std::vector<double> rest(count / kGainBlock + 2, 1e9);
    std::vector<RankCost::Line> lines = {{0, 3, 0.1}, {20, 5, 1.3}, {70, 70, -0.2}, {90, 66, 4}};
    const CriticalSteps steps{count,
                              numbers[0].data(),
                              numbers[1].data(),
                              numbers[2].data(),
                              rest.data(),
                              numbers[3].data(),
                              numbers[4].data(),
                              numbers[5].data(),
                              numbers[6].data(),
                              std::span(lines).subspan(i % 2, 3),
                              lines,
                              nullptr,
                              nullptr};
    for (auto isa : {Isa::avx2, Isa::avx512})
      EXPECT_EQ(critical_gain(isa)(steps, -1e9), critical_gain(Isa::plain)(steps, -1e9));
  }
}

}  // namespace
}  // namespace gembench
