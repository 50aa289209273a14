// That planners always end, and that what they believe of a swap is what it is.
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "placement/cost/node_traffic.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/local_search.hpp"
#include "placement/search/starts.hpp"
#include "placement/search/swap_descent.hpp"
#include "placement/strategies/branch_and_bound.hpp"
#include "placement/strategies/exact.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/node_settling.hpp"
#include "placement/strategies/replan.hpp"
#include "tests/placement/search_case.hpp"

namespace gembench {
namespace {

using testing::SearchCase;

constexpr std::uint64_t kCases = 2000;

/// What a search calls now and then; counted work instead of a clock: too much of it fails the test
/// instead of hanging it.
std::function<void()> at_most(std::int64_t pulses) {
  return [left = std::make_shared<std::atomic<std::int64_t>>(pulses)] {
    if (--*left < 0) throw std::runtime_error("the search does not end");
  };
}

/// The objective by the cost model itself, none of the search's tables.
double from_scratch(const SearchCase& c, const Assignment& assignment) {
  std::vector<std::vector<std::int32_t>> tokens(std::size_t(c.ranks));
  double sum = 0;
  for (std::size_t t = 0; t < c.problem->steps; ++t) {
    for (auto& rank : tokens) rank.clear();
    for (std::size_t e = 0; e < assignment.size(); ++e)
      tokens[std::size_t(assignment[e])].push_back(c.problem->tokens(e, t));
    double slowest = 0;
    for (int rank = 0; rank < c.ranks; ++rank)
      slowest = std::max(slowest, c.cost->rank_seconds(rank, tokens[std::size_t(rank)]));
    sum += slowest;
  }
  return sum;
}

/// A search whose every swap is judged again.
template <class Units>
class Watched {
 public:
  Watched(const SearchCase& c, const Assignment& start, Isa isa)
      : c_(c), search(*c.problem, start, isa), now_(evaluate(*c.problem, start)) {
    EXPECT_EQ(search.value(), now_);
    search.on_swap = [this](const Swap& swap, double saved) {
      const auto before = now_;
      now_ = evaluate(*c_.problem, search.assignment());
      EXPECT_EQ(search.value(), now_);
      if (saved == 0) return;  // a perturbation's
      EXPECT_EQ(saved, before - now_);
      EXPECT_NEAR(saved, swap.gain, 1e-12 * before);
      EXPECT_LT(now_, before);
      EXPECT_GE(before - now_, search.enough());
    };
  }

  void descend() {
    search.descend();
    is_sound();
  }
  void perturbation(Random& random) {
    const auto before = search.value();
    search.try_perturbation(random);
    EXPECT_LE(search.value(), before);
    now_ = search.value();  // it may have been undone
    is_sound();
  }
  /// The best swap of all, again and again, as replans do.
  void descend_steeply(bool into_spare) {
    while (const auto best = search.steepest(into_spare)) {
      ASSERT_TRUE(search.take(*best).has_value());
    }
    is_sound();
  }
  /// What every swap of two ranks is worth, recomputed; none helps after a descent.
  void is_a_minimum(Random& random) {
    const auto& p = *c_.problem;
    if (p.ranks < 2) return;
    const auto a = random.below(p.ranks);
    const auto b = (a + 1 + random.below(p.ranks - 1)) % p.ranks;
    const auto gains = search.gains(a, b);
    const auto here = search.assignment();
    for (std::size_t i = 0; i < p.slots; ++i)
      for (std::size_t j = 0; j < p.slots; ++j) {
        auto other = here;
        std::swap(other[search.expert(a, i)], other[search.expert(b, j)]);
        const auto gain = search.value() - evaluate(p, other);
        EXPECT_NEAR(gains[i * p.slots + j], gain, 1e-12 * search.value());
        if (search.allowed(a, i, b, j)) {
          EXPECT_LE(gain, search.enough() * (1 + 1e-3));
        }
        if (gain > 0 && gain >= search.enough()) continue;
        EXPECT_FALSE(search.take({a, i, b, j, gain}).has_value()) << "worth " << gain;
        EXPECT_EQ(search.assignment(), here);
      }
    EXPECT_EQ(search.value(), evaluate(p, here));
  }

 private:
  void is_sound() {
    const auto assignment = search.assignment();
    EXPECT_EQ(search.value(), evaluate(*c_.problem, assignment));
    const auto plain = from_scratch(c_, assignment);
    // `experts` counts in units of 2^-30 of the largest time.
    EXPECT_NEAR(search.value(), plain, (c_.kind == CostKind::sum ? 1e-12 : 1e-6) * plain);
    for (std::size_t e = 0; e < c_.problem->replica_of.size(); ++e)
      EXPECT_FALSE(c_.apart && holds_replica(*c_.problem, assignment, e, assignment[e]));
  }

  const SearchCase& c_;

 public:
  SwapSearch<Units> search;

 private:
  double now_;
};

/// What is returned is all of a gain or loss, whatever limit was given; the limit decides only
/// whether anything is.
template <class Units>
void sums_are_whole(SearchCase& c, const Assignment& start, Isa isa) {
  const auto& p = *c.problem;
  if (p.ranks < 2) return;
  SwapState<Units> state(p, start);
  PairView<Units> view(p, state, isa);
  const auto a = c.random.below(p.ranks);
  const auto b = (a + 1 + c.random.below(p.ranks - 1)) % p.ranks;
  const bool can_gain = view.look(a, b, 0);
  const auto limits = [](double whole) {
    return std::array{whole,
                      std::nextafter(whole, HUGE_VAL),
                      std::nextafter(whole, -HUGE_VAL),
                      whole / 2,
                      whole * 0.9,
                      whole * 2};
  };
  for (std::size_t i = 0; i < p.slots; ++i) {
    if (can_gain) view.take_out(i);
    for (std::size_t j = 0; j < p.slots; ++j) {
      const auto loss = view.remaining_loss(i, j, HUGE_VAL).value();
      for (const auto most : limits(loss))
        EXPECT_EQ(view.remaining_loss(i, j, most),
                  loss < most ? std::optional(loss) : std::nullopt);
      if (!can_gain) continue;
      const auto gain = view.gain_in_critical(j, -HUGE_VAL).value();
      for (const auto enough : limits(gain)) {
        const auto found = view.gain_in_critical(j, enough);
        EXPECT_TRUE(!found || *found == gain);
        EXPECT_FALSE(found && gain <= enough);
        // A bound may round the other way.
        EXPECT_TRUE(found || gain <= enough + 1e-12 * std::abs(state.value()));
      }
    }
  }
}

template <class Units>
Assignment search_watched(SearchCase& c, const Assignment& start, Isa isa, std::uint64_t seed) {
  Random random(seed);
  sums_are_whole<Units>(c, start, isa);
  Watched<Units> first(c, start, isa);
  first.descend();
  const auto work = first.search.work();
  EXPECT_LE(work.taken, 10 * c.problem->experts);
  // Every pair of ranks has slots^2 swaps; a round over them takes at least one but for three.
  const auto pairs = c.problem->ranks * (c.problem->ranks - 1) / 2;
  EXPECT_LE(work.looks, (work.taken + 3) * (pairs + 1) * c.problem->slots * c.problem->slots);
  EXPECT_EQ(work.undone, 0U);
  (void)first.search.look_again();
  EXPECT_EQ(first.search.work().taken, work.taken) << "the descent ended too early";
  for (int i = 0; i < 3; ++i) first.perturbation(random);
  const auto found = first.search.assignment();
  first.is_a_minimum(random);
  Watched<Units> steep(c, start, isa);
  steep.descend_steeply(true);
  steep.descend_steeply(false);
  return found;
}

TEST(PlannerEnds, EverySwapLowersTheRecomputedObjective) {
  for (std::uint64_t seed = 0; seed < kCases && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    SearchCase c(seed);
    c.problem->pulse = at_most(100000);
    const auto start = c.start();
    Assignment plain;
    for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
      if (!has_isa(isa)) continue;
      const auto found = c.costs->narrow() ? search_watched<std::int16_t>(c, start, isa, seed)
                                           : search_watched<std::int32_t>(c, start, isa, seed);
      if (isa == Isa::plain) plain = found;
      EXPECT_EQ(found, plain);
    }
    auto dealt = greedy(*c.problem, best_isa());
    EXPECT_EQ(dealt, greedy(*c.problem, Isa::plain));
    separate_replicas(*c.problem, dealt);
    const auto as_dealt = evaluate(*c.problem, dealt);
    const auto improved = improve(*c.problem, dealt, best_isa());
    EXPECT_EQ(improved, evaluate(*c.problem, dealt));
    EXPECT_LE(improved, as_dealt);
    if (c.problem->real > 8 || !c.problem->replica_of.empty()) continue;
    const auto best = evaluate(*c.problem, solve_exactly(*c.problem, plain, 200000).assignment);
    EXPECT_LE(best, evaluate(*c.problem, plain) * (1 + 1e-12));
  }
}

/// The same question as the command line asks it, with a layer more.
struct PlanCase {
  explicit PlanCase(std::uint64_t seed) : one(seed), trace(one.trace) {
    for (int step = trace.steps; step-- > 0;) {  // the same experts in another order
      const auto at = trace.tokens.begin() + std::ptrdiff_t(step + 1) * trace.experts;
      std::vector<std::int32_t> other(at - trace.experts, at);
      std::ranges::reverse(other);
      trace.tokens.insert(at, other.begin(), other.end());
    }
    trace.layers = 2;
  }
  [[nodiscard]] PlanInput input() const {
    PlanInput input{trace, *one.cost, 3, one.slots};
    input.replicas = one.split.trace.experts - trace.experts;
    input.watch = [pulse = at_most(500000)](const PlanStage&) { pulse(); };
    return input;
  }
  SearchCase one;
  Trace trace;
};

TEST(PlannerEnds, EveryStrategyWithEveryCurve) {
  for (std::uint64_t seed = 0; seed < kCases / 40 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    const PlanCase c(seed);
    const auto input = c.input();
    const SearchOptions quick{.threads = 1, .perturbations = 2};
    for (const auto& placement : {plan_gem(input, quick), plan_gem_plus(input, quick)})
      validate(placement);
    for (const auto& strategy : strategy_table())
      if (strategy.name == "flashlb") validate(strategy.plan(input));
  }
}

TEST(PlannerEnds, EveryMoveOfAReplanLowersTheObjective) {
  for (std::uint64_t seed = 0; seed < kCases / 5 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    const PlanCase c(seed);
    auto input = c.input();
    input.seed = seed;
    auto placement = input.replicas > 0 ? plan_eplb(input) : plan_random(input);
    const auto found =
        replan(placement, c.trace, *c.one.cost,
               {.max_moves = std::numeric_limits<int>::max(), .threads = 1, .watch = input.watch});
    auto now = objective(c.trace, placement, *c.one.cost);
    for (const auto& swap : found.swaps) {
      std::swap(placement.on_rank(swap.layer, swap.rank)[std::size_t(swap.slot)],
                placement.on_rank(swap.layer, swap.other_rank)[std::size_t(swap.other_slot)]);
      const auto then = objective(c.trace, placement, *c.one.cost);
      EXPECT_LT(then, now);
      EXPECT_NEAR(swap.gain, (now - then) / c.trace.steps, 1e-14 * now);
      now = then;
    }
    EXPECT_EQ(placement.slot_expert, found.placement.slot_expert);
    EXPECT_NEAR(found.after, now / c.trace.steps, 1e-12 * now);
  }
}

TEST(PlannerEnds, SettlingOnNodesLowersTimeAndTraffic) {
  for (std::uint64_t seed = 0; seed < kCases / 5 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    const PlanCase c(seed);
    auto input = c.input();
    input.replicas = 0;  // a replica's part of a token is not what counts expect
    const auto before = plan_random(input);
    input.network = {2, seed % 2 == 0, 1, 1e-6 * double(1 + seed % 7)};
    const auto after = settle_on_nodes(before, input, 1, best_isa());
    validate(after);
    const auto total = [&](const Placement& placement) {
      return objective(c.trace, placement, *c.one.cost) / c.trace.steps +
             node_traffic(c.trace, placement, input.network).seconds;
    };
    EXPECT_LE(total(after), total(before) * (1 + 1e-6));
    EXPECT_EQ(after.slot_expert, settle_on_nodes(before, input, 2, Isa::plain).slot_expert);
  }
}

TEST(PlannerEnds, WhereTheSameTwoSwapsWereTakenForEver) {
  // What `trace make --model gpt-oss-20b --tokens 64 --layers 6` makes, on four ranks of equal
  // speed.
  const auto trace = make_trace("serving", {1024, 6, 32, 4, 64, 1});
  auto profile = equal_ranks(4, 64 * 4);
  for (auto& seconds : profile.latency) seconds *= 1e-6;
  const CostModel cost(profile);
  PlanInput input{trace, cost, 1};
  input.watch = [pulse = at_most(1000000)](const PlanStage&) { pulse(); };
  const SearchCosts costs(cost, trace, 8);
  for (int layer = 0; layer < trace.layers; ++layer) {
    LayerProblem problem(trace, layer, costs);
    problem.pulse = at_most(100000);
    for (auto isa : {Isa::plain, best_isa()}) {
      Random random(1);
      std::vector<std::int32_t> order(32);
      std::iota(order.begin(), order.end(), 0);
      std::vector<Assignment> starts = {greedy(problem, isa), speed_weighted_lpt(problem)};
      for (int i = 0; i < 6; ++i, random.shuffle(order)) starts.push_back(blocks(order, 8));
      for (const auto& start : starts) {
        SwapSearch<std::int16_t> search(problem, start, isa);
        search.descend();
        EXPECT_EQ(search.work().undone, 0U) << "a swap was not worth what the search believed";
      }
    }
  }
  const SearchOptions quick{.perturbations = 0};
  const auto linear = objective(trace, plan_linear(input), cost);
  for (const auto& placement : {plan_gem(input, quick), plan_gem_plus(input, quick)})
    EXPECT_LT(objective(trace, placement, cost), 0.98 * linear);
}

TEST(PlannerEnds, AfterSoManySwapsAtMost) {
  const auto trace = make_trace("serving", {200, 1, 32, 4, 64, 1});
  const CostModel cost(testing::uneven_profile(4, 3));
  const SearchCosts costs(cost, trace, 8);
  const LayerProblem problem(trace, 0, costs);
  std::vector<std::int32_t> order(32);
  for (int e = 0; e < 32; ++e) order[std::size_t(e)] = e;
  const auto start = blocks(order, 8);
  SwapSearch<std::int16_t> none(problem, start, best_isa(), 0);
  none.descend();
  EXPECT_EQ(none.assignment(), start);
  SwapSearch<std::int16_t> whole(problem, start, best_isa());
  whole.descend();
  EXPECT_GT(whole.work().taken, 3U);
  EXPECT_LT(whole.work().taken * 100, kMostSwaps * problem.experts);
  EXPECT_LT(whole.value(), none.value());
}

TEST(PlannerEnds, TimesOfNoUseAreRefused) {
  for (const double bad : {-1e-6, std::nan(""), HUGE_VAL, 1e31, 1e-31, 5e-324, 1.7e308}) {
    auto profile = equal_ranks(2, 100);
    profile.latency[1] = bad;
    testing::expect_refused("which is no time", [&] { (void)CostModel(profile); });
    profile.latency[1] = 1;
    profile.overhead[0] = bad;
    testing::expect_refused("which is no time", [&] { (void)CostModel(profile); });
  }
  // At both ends of what is taken all sums stay finite.
  for (const double seconds : {1e-30, 1e30}) {
    auto profile = equal_ranks(2, 1);
    profile.latency = {0, seconds, seconds, seconds};
    const CostModel cost(profile);
    auto trace = testing::small_trace(40, 1, 8, 2, 3);
    const auto placement = plan_gem({trace, cost, 1});
    EXPECT_TRUE(std::isnormal(objective(trace, placement, cost)));
  }
}

TEST(PlannerEnds, AWatchSeesEveryLayerAndEndsThePlanning) {
  const auto trace = testing::small_trace(100, 5, 32, 4, 1);
  const CostModel cost(testing::uneven_profile(4, 2));
  for (const auto& strategy : strategy_table()) {
    if (strategy.name != "gem" && strategy.name != "gem+" && strategy.name != "flashlb") continue;
    SCOPED_TRACE(strategy.name);
    PlanInput input{trace, cost, 1};
    std::atomic<int> calls = 0, most_done = 0;
    input.watch = [&](const PlanStage& stage) {
      ++calls;
      EXPECT_EQ(stage.layers, 5);
      EXPECT_GE(stage.layer, 0);
      EXPECT_LT(stage.layer, 5);
      if (stage.done > most_done) most_done = stage.done;
    };
    const auto placement = strategy.plan(input);
    EXPECT_EQ(most_done, 5);
    EXPECT_EQ(placement.slot_expert, strategy.plan({trace, cost, 1}).slot_expert);
    // In the middle of a layer too: many more calls than layers.
    EXPECT_TRUE(strategy.name == "flashlb" || calls > 100) << calls;
    input.watch = [left = std::make_shared<std::atomic<int>>(calls / 2)](const PlanStage&) {
      if (--*left < 0) throw Error(ExitCode::timeout, "enough");
    };
    testing::expect_error(ExitCode::timeout, "enough", [&] { (void)strategy.plan(input); });
  }
}

}  // namespace
}  // namespace gembench
