#include <cmath>
#include <limits>
#include <numeric>

#include "placement/cost/expert_sums.hpp"
#include "placement/cost/score.hpp"
#include "placement/cost/token_split.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Row = std::vector<std::int64_t>;
using Tokens = std::vector<std::int32_t>;

constexpr SplitRule kRules[] = {SplitRule::even,           SplitRule::by_speed,
                                SplitRule::water_fill,     SplitRule::least,
                                SplitRule::one_per_source, SplitRule::local_first};

/// Experts of one layer on the ranks named; as many slots as the fullest rank needs.
Placement on_ranks(int ranks, const std::vector<std::vector<int>>& hosts) {
  std::vector<std::vector<int>> held(static_cast<std::size_t>(ranks));
  for (std::size_t e = 0; e < hosts.size(); ++e)
    for (int rank : hosts[e]) held[std::size_t(rank)].push_back(int(e));
  std::size_t slots = 1;
  for (const auto& one : held) slots = std::max(slots, one.size());
  auto placement = empty_placement(1, ranks, int(hosts.size()), int(slots));
  for (int rank = 0; rank < ranks; ++rank)
    std::copy(held[std::size_t(rank)].begin(), held[std::size_t(rank)].end(),
              placement.on_rank(0, rank).begin());
  return placement;
}

/// Every expert on one to three distinct ranks.
std::vector<std::vector<int>> random_hosts(Random& random, int ranks, int experts) {
  std::vector<std::vector<int>> hosts;
  std::vector<int> order(static_cast<std::size_t>(ranks));
  for (int e = 0; e < experts; ++e) {
    std::iota(order.begin(), order.end(), 0);
    random.shuffle(order);
    hosts.push_back({order.begin(), order.begin() + 1 +
                                        std::ptrdiff_t(random.below(
                                            std::min<std::uint64_t>(3, std::uint64_t(ranks))))});
  }
  return hosts;
}

Tokens random_tokens(Random& random, std::size_t experts, std::uint64_t most) {
  Tokens tokens(experts);
  for (auto& one : tokens) one = std::int32_t(random.below(most + 1));
  return tokens;
}

double slowest(const CostModel& cost, const Row& slots, int per_rank) {
  double most = 0;
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    Tokens own;
    for (int s = 0; s < per_rank; ++s)
      own.push_back(std::int32_t(slots[std::size_t(rank * per_rank + s)]));
    most = std::max(most, cost.rank_seconds(rank, own));
  }
  return most;
}

TEST(SplitRules, ConserveEveryTokenOnRealReplicasOnly) {
  Random random(3);
  for (int i = 0; i < 300; ++i) {
    const int ranks = 1 + int(random.below(6));
    const auto hosts = random_hosts(random, ranks, 1 + int(random.below(9)));
    const auto placement = on_ranks(ranks, hosts);
    const auto tokens = random_tokens(random, hosts.size(), i % 3 == 0 ? 3 : 200);
    for (auto kind : {CostKind::sum, CostKind::per_expert}) {
      const CostModel cost(testing::uneven_profile(ranks, std::uint64_t(i), i % 2 == 0), kind,
                           placement.slots);
      for (auto rule : kRules) {
        const TokenSplit split(placement, rule, &cost);
        const int shift = int(random.below(9));
        Row slots(placement.slot_expert.size(), -7);
        split.slot_loads(tokens, 0, slots, shift);
        Tokens sum(tokens.size(), 0);
        for (std::size_t s = 0; s < slots.size(); ++s) {
          EXPECT_GE(slots[s], 0);
          const auto expert = placement.slot_expert[s];
          if (expert < 0)
            EXPECT_EQ(slots[s], 0);
          else
            sum[std::size_t(expert)] += std::int32_t(slots[s]);
        }
        EXPECT_EQ(sum, tokens);
        Row by_rank(std::size_t(ranks), -7);
        split.rank_loads(tokens, 0, by_rank, shift);
        for (std::size_t r = 0; r < by_rank.size(); ++r)
          EXPECT_EQ(by_rank[r],
                    std::accumulate(&slots[r * std::size_t(placement.slots)],
                                    &slots[r * std::size_t(placement.slots)] + placement.slots,
                                    std::int64_t{0}));
      }
    }
  }
}

TEST(SplitRules, EvenTurnsWithTheShift) {
  const auto placement = on_ranks(3, {{0, 1, 2}});
  const TokenSplit split(placement);
  for (int shift = 0; shift < 7; ++shift) {
    Row row(3);
    split.rank_loads(Tokens{4}, 0, row, shift);
    for (int r = 0; r < 3; ++r) EXPECT_EQ(row[std::size_t(r)], 1 + (r == shift % 3)) << shift;
  }
}

/// As engines send tokens: to slots, whichever rank they are on.
TEST(SplitRules, ARankThatHoldsAnExpertTwiceGetsTwoShares) {
  Random random(31);
  for (int round = 0; round < 100; ++round) {
    const int ranks = 2 + static_cast<int>(random.below(3)), slots = 3;
    Placement placement{1, ranks, slots, ranks, {}, "made"};
    for (int e = 0; e < ranks; ++e) placement.slot_expert.push_back(e);  // every expert somewhere
    while (std::ssize(placement.slot_expert) < ranks * slots)
      placement.slot_expert.push_back(
          static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(ranks))));
    const auto held = placement.slot_expert;  // with repeats
    separate_repeats(placement);
    validate(placement);
    std::vector<std::int32_t> tokens;
    std::vector<std::int64_t> expected(static_cast<std::size_t>(ranks), 0), found(expected);
    for (int e = 0; e < ranks; ++e) {
      const auto copies = static_cast<std::int32_t>(std::ranges::count(held, e));
      const auto each = static_cast<std::int32_t>(random.below(50));
      tokens.push_back(each * copies);
      for (std::size_t slot = 0; slot < held.size(); ++slot)
        if (held[slot] == e) expected[slot / static_cast<std::size_t>(slots)] += each;
    }
    TokenSplit(placement).rank_loads(tokens, 0, found);
    EXPECT_EQ(found, expected);
    std::vector<std::int64_t> of_slots(held.size());
    TokenSplit(placement).slot_loads(tokens, 0, of_slots);
    for (std::size_t slot = 0; slot < held.size(); ++slot) {
      if (placement.slot_expert[slot] < 0) {
        EXPECT_EQ(of_slots[slot], 0);
      }
    }
    EXPECT_EQ(std::accumulate(of_slots.begin(), of_slots.end(), std::int64_t{0}),
              std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0}));
  }
}

/// What `init_eplb_config` of vllm-ascend 0.23.0 gave for 3 and 2 copies on 4 ranks.
TEST(SplitRules, OnePerSourceIsVllmAscendsTable) {
  const auto placement = on_ranks(4, {{0, 1, 2}, {0, 3}});
  const TokenSplit split(placement, SplitRule::one_per_source);
  const std::vector<std::vector<int>> table = {{0, 1, 2, 0}, {0, 3, 0, 3}};
  for (std::size_t expert = 0; expert < table.size(); ++expert) {
    Tokens tokens(2, 0);
    tokens[expert] = 5;
    for (int source = 0; source < 4; ++source) {
      Row row(4), expected(4, 0);
      split.rank_loads(tokens, 0, row, source);
      expected[std::size_t(table[expert][std::size_t(source)])] = 5;
      EXPECT_EQ(row, expected) << expert << " from " << source;
    }
  }
  Row row(4);
  split.rank_loads(Tokens{400, 0}, 0, row);
  EXPECT_EQ(row, (Row{200, 100, 100, 0})) << "two ranks of four send to the first replica";
}

TEST(SplitRules, MoreReplicasThanSourcesLeaveSomeWithoutTokens) {
  Placement placement{1, 2, 2, 1, {0, 0, 0, -1}, "made"};
  separate_repeats(placement);
  Row row(2);
  TokenSplit(placement, SplitRule::one_per_source).rank_loads(Tokens{100}, 0, row);
  EXPECT_EQ(row, (Row{100, 0})) << "both ranks send to the slots of rank 0";
}

TEST(SplitRules, LocalFirstKeepsTokensWhereTheyAre) {
  const auto placement = on_ranks(4, {{1, 3}, {0}});
  const TokenSplit split(placement, SplitRule::local_first);
  const auto from = [&](std::optional<int> source) {
    Row row(4);
    split.rank_loads(Tokens{6, 0}, 0, row, source);
    return row;
  };
  EXPECT_EQ(from(1), (Row{0, 6, 0, 0}));
  EXPECT_EQ(from(3), (Row{0, 0, 0, 6}));
  EXPECT_EQ(from(0), (Row{0, 3, 0, 3}));
  EXPECT_EQ(from({}), (Row{0, 3, 0, 3})) << "all ranks together, as if they had equally many";
}

TEST(SplitRules, SourcesOfATraceCountWhereTheRuleDependsOnThem) {
  const auto placement = on_ranks(2, {{0, 1}, {0}});
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = trace.sources = 2;
  trace.tokens = {10, 4};
  trace.source_tokens = {8, 1, 2, 3};  // [source][expert]
  const auto loads = [&](SplitRule rule) {
    Row row(2);
    TokenSplit(placement, rule).rank_loads(trace, 0, 0, row);
    return row;
  };
  EXPECT_EQ(loads(SplitRule::even), (Row{9, 5}));
  EXPECT_EQ(loads(SplitRule::one_per_source), (Row{12, 2}));
  EXPECT_EQ(loads(SplitRule::local_first), (Row{12, 2}));
  EXPECT_EQ(rank_loads(trace, placement, {SplitRule::local_first}), (Row{12, 2}));
  trace.sources = 0;
  EXPECT_EQ(loads(SplitRule::local_first), (Row{9, 5}));
}

TEST(SplitRules, BySpeedGivesEveryReplicaItsShare) {
  Profile profile = equal_ranks(3, 100);
  profile.latency = {0, 100, 0, 200, 0, 400};  // speeds 4 : 2 : 1
  const CostModel cost(profile);
  const auto placement = on_ranks(3, {{0, 1, 2}, {1, 2}});
  const TokenSplit split(placement, SplitRule::by_speed, &cost);
  for (int n : {0, 1, 2, 7, 10, 699, 70000}) {
    Row row(placement.slot_expert.size());
    split.slot_loads(Tokens{n, 0}, 0, row);
    for (int r = 0; r < 3; ++r)
      EXPECT_LT(std::abs(double(row[std::size_t(r * placement.slots)]) - n * (4 >> r) / 7.0), 1.01);
  }
  // Ranks that have one token each must not all send it to the fastest replica.
  Row sum(3, 0);
  for (int shift = 0; shift < 700; ++shift) {
    Row row(3);
    split.rank_loads(Tokens{1, 0}, 0, row, shift);
    for (std::size_t r = 0; r < 3; ++r) sum[r] += row[r];
  }
  for (int r = 0; r < 3; ++r)
    EXPECT_LT(std::abs(double(sum[std::size_t(r)]) - 100 * (4 >> r)), 3) << r;
}

TEST(SplitRules, AlikeWhereNothingIsReplicatedOrRanksAreAlike) {
  Random random(6);
  const CostModel uneven(testing::uneven_profile(4, 1));
  const auto single = on_ranks(4, {{0}, {1}, {2}, {3}, {0}});
  const auto tokens = random_tokens(random, 5, 100);
  Row even(4), other(4);
  TokenSplit(single).rank_loads(tokens, 0, even);
  for (auto rule : kRules) {
    TokenSplit(single, rule, &uneven).rank_loads(tokens, 0, other);
    EXPECT_EQ(even, other);
  }
  // Equal ranks: none is more than a token from the share of an even split.
  const auto equal = equal_speeds(uneven, 4);
  const auto placement = on_ranks(4, {{0, 1, 2, 3}});
  for (auto rule : kRules) {
    TokenSplit(placement, rule, &equal).rank_loads(Tokens{103}, 0, other);
    for (auto load : other) EXPECT_LT(std::abs(double(load) - 103 / 4.0), 1.01);
  }
}

TEST(SplitRules, NeedTheSpeedsOfTheirRanks) {
  const auto placement = on_ranks(2, {{0, 1}});
  const CostModel three(equal_ranks(3, 10));
  for (auto rule : {SplitRule::by_speed, SplitRule::water_fill, SplitRule::least}) {
    expect_refused("speeds of 2 ranks", [&] { (void)TokenSplit(placement, rule); });
    expect_refused("speeds of 2 ranks", [&] { (void)TokenSplit(placement, rule, &three); });
  }
}

/// The least slowest rank over all ways to split, by trying them.
double brute_force(const CostModel& cost, const Placement& placement,
                   const std::vector<std::vector<int>>& hosts, const Tokens& tokens, std::size_t e,
                   Row& slots) {
  if (e == tokens.size()) return slowest(cost, slots, placement.slots);
  std::vector<std::size_t> cells;
  for (int rank : hosts[e]) {
    const auto on = placement.on_rank(0, rank);
    cells.push_back(std::size_t(rank * placement.slots) +
                    std::size_t(std::find(on.begin(), on.end(), int(e)) - on.begin()));
  }
  double least = std::numeric_limits<double>::infinity();
  const std::function<void(std::size_t, int)> deal = [&](std::size_t i, int left) {
    if (i + 1 == cells.size()) {
      slots[cells[i]] = left;
      least = std::min(least, brute_force(cost, placement, hosts, tokens, e + 1, slots));
      return;
    }
    for (int n = 0; n <= left; ++n) {
      slots[cells[i]] = n;
      deal(i + 1, left - n);
    }
  };
  deal(0, tokens[e]);
  return least;
}

TEST(WaterFill, ComesCloseToTheBestSplitThereIs) {
  Random random(9);
  for (auto kind : {CostKind::sum, CostKind::per_expert}) {
    double sum = 0, best_sum = 0, even_sum = 0;
    for (int i = 0; i < 60; ++i) {
      const int ranks = 2 + int(random.below(3));
      const auto hosts = random_hosts(random, ranks, 3 + int(random.below(2)));
      const auto placement = on_ranks(ranks, hosts);
      const auto tokens = random_tokens(random, hosts.size(), 12);
      auto profile = equal_ranks(ranks, 16);
      for (int r = 0; r < ranks; ++r) {
        const auto slow = 1 + 0.5 * random.uniform();
        profile.latency[std::size_t(2 * r)] = slow;
        profile.latency[std::size_t(2 * r + 1)] = slow * (kind == CostKind::sum ? 17 : 30);
      }
      const CostModel cost(profile, kind, 1);
      Row slots(placement.slot_expert.size(), 0);
      const auto best = brute_force(cost, placement, hosts, tokens, 0, slots);
      Row found(slots.size()), even(slots.size());
      TokenSplit(placement, SplitRule::water_fill, &cost).slot_loads(tokens, 0, found);
      TokenSplit(placement).slot_loads(tokens, 0, even);
      const auto reached = slowest(cost, found, placement.slots);
      // One expert cannot be divided finer than its tokens; several may each miss one.
      EXPECT_LE(reached, best + 2 * 1.5 * 2) << i;
      EXPECT_GE(reached, best * (1 - 1e-12));
      sum += reached;
      best_sum += best;
      even_sum += slowest(cost, even, placement.slots);
    }
    EXPECT_LT(sum, 1.03 * best_sum);
    EXPECT_GT(even_sum, 1.05 * best_sum) << "or there was nothing to find";
  }
}

TEST(LeastSplit, IsTheBestSplitThereIs) {
  Random random(10);
  double even_sum = 0, best_sum = 0;
  for (int i = 0; i < 60; ++i) {
    const int ranks = 2 + int(random.below(3));
    const auto hosts = random_hosts(random, ranks, 3 + int(random.below(2)));
    const auto placement = on_ranks(ranks, hosts);
    const auto tokens = random_tokens(random, hosts.size(), i % 2 ? 8 : 3);
    auto profile = testing::uneven_profile(ranks, std::uint64_t(i));
    for (auto& point : profile.load_points) point /= i % 3 == 0 ? 1 : 8;  // the kinks count
    const CostModel cost(profile);
    Row slots(placement.slot_expert.size(), 0);
    const auto best = brute_force(cost, placement, hosts, tokens, 0, slots);
    Row found(slots.size()), even(slots.size());
    TokenSplit(placement, SplitRule::least, &cost).slot_loads(tokens, 0, found);
    TokenSplit(placement).slot_loads(tokens, 0, even);
    EXPECT_NEAR(slowest(cost, found, placement.slots), best, 1e-12 * best) << i;
    even_sum += slowest(cost, even, placement.slots);
    best_sum += best;
  }
  EXPECT_GT(even_sum, 1.02 * best_sum) << "or there was nothing to find";
}

TEST(LeastSplit, IsNoSlowerThanWaterFillOnManyRanksAndKeepsWhatNeedNotMove) {
  Random random(12);
  for (int i = 0; i < 40; ++i) {
    const int ranks = 2 + int(random.below(30));
    const auto hosts = random_hosts(random, ranks, ranks * 3);
    const auto placement = on_ranks(ranks, hosts);
    const auto tokens = random_tokens(random, hosts.size(), 4000);
    const CostModel cost(i % 2 ? testing::uneven_profile(ranks, std::uint64_t(i), i % 4 == 1)
                               : equal_ranks(ranks, 1));
    const RankCurves curves(cost);
    double least = 0, filled = 0;
    Row row(std::size_t(ranks), 0);
    TokenSplit(placement, SplitRule::least, &cost).rank_loads(tokens, 0, row);
    for (int r = 0; r < ranks; ++r) least = std::max(least, curves.seconds(r, row[std::size_t(r)]));
    TokenSplit(placement, SplitRule::water_fill, &cost).rank_loads(tokens, 0, row);
    for (int r = 0; r < ranks; ++r)
      filled = std::max(filled, curves.seconds(r, row[std::size_t(r)]));
    EXPECT_LE(least, filled * (1 + 1e-12)) << i;
  }
  // One rank is busy with an expert of its own; the two others can share as they like.
  const auto placement = on_ranks(3, {{0}, {1, 2}});
  const CostModel equal(equal_ranks(3, 1));
  Row row(3);
  TokenSplit(placement, SplitRule::least, &equal).rank_loads(Tokens{90, 40}, 0, row);
  EXPECT_EQ(row, (Row{90, 20, 20}));
}

TEST(RankCurves, FindTheLeastTimeOfWholeTokens) {
  Random random(13);
  for (int i = 0; i < 60; ++i) {
    const int ranks = 1 + int(random.below(4));
    const RankCurves curves(
        CostModel(testing::uneven_profile(ranks, std::uint64_t(i), i % 2 == 0)));
    std::vector<std::int32_t> some;
    for (int r = 0; r < ranks; ++r) some.push_back(r);
    const auto tokens = std::int64_t(random.below(600));
    std::vector<double> times;  // at which a rank can finish another token
    for (int r = 0; r < ranks; ++r)
      for (std::int64_t n = 0; n <= tokens; ++n) times.push_back(curves.seconds(r, n));
    std::sort(times.begin(), times.end());
    const auto fits = [&](double level) {
      std::int64_t sum = 0;
      for (int r = 0; r < ranks; ++r) {
        std::int64_t n = -1;
        while (n < tokens && curves.seconds(r, n + 1) <= level) ++n;
        sum += std::max<std::int64_t>(0, n);
        EXPECT_EQ(std::min(curves.tokens_within(r, level), tokens), n);
      }
      return sum >= tokens;
    };
    const auto expected = tokens == 0 ? 0.0 : *std::find_if(times.begin(), times.end(), fits);
    EXPECT_EQ(curves.least_seconds(some, tokens, 0), expected) << i;
  }
}

TEST(RankCurves, EndWhereTimesAreNeighboursToTheLastBit) {
  Random random(14);
  for (int i = 0; i < 300; ++i) {  // loops for ever where a middle rounds to its upper end
    auto profile = equal_ranks(3, 1000);
    for (std::size_t r = 0; r < 3; ++r)
      profile.latency[2 * r + 1] = (1 + random.uniform() * (r == 0 ? 0 : 1e-15)) * 1e-3 / 3;
    const RankCurves curves{CostModel(profile)};
    const std::vector<std::int32_t> some{0, 1, 2};
    const auto tokens = std::int64_t(1 + random.below(900));
    const auto least = curves.least_seconds(some, tokens, 0);
    EXPECT_NEAR(least, double((tokens + 2) / 3) * 1e-6 / 3, 1e-14);
  }
}

TEST(WaterFill, OneReplicatedExpertIsEqualisedToAToken) {
  Random random(11);
  for (int i = 0; i < 200; ++i) {
    const int ranks = 2 + int(random.below(3));
    std::vector<std::vector<int>> hosts(1);
    for (int r = 0; r < ranks; ++r) {
      hosts[0].push_back(r);
      hosts.push_back({r});  // what is there already
    }
    const auto placement = on_ranks(ranks, hosts);
    auto tokens = random_tokens(random, hosts.size(), 40);
    const CostModel cost(testing::uneven_profile(ranks, std::uint64_t(i)));
    Row row(std::size_t(ranks), 0);
    TokenSplit(placement, SplitRule::water_fill, &cost).rank_loads(tokens, 0, row);
    double most = 0;
    for (int r = 0; r < ranks; ++r) most = std::max(most, cost.seconds(r, row[std::size_t(r)]));
    // No rank with a token of it would let another one finish earlier with one more.
    for (int a = 0; a < ranks; ++a) {
      if (row[std::size_t(a)] == tokens[std::size_t(a + 1)]) continue;  // has none of it
      if (cost.seconds(a, row[std::size_t(a)]) < most) continue;
      for (int b = 0; b < ranks; ++b)
        EXPECT_GE(cost.seconds(b, row[std::size_t(b)] + 1), most * (1 - 1e-9)) << i;
    }
  }
}

TEST(WaterFill, DecodeKeepsAnExpertWholeWhereThatIsAsFast) {
  auto profile = equal_ranks(2, 64);
  profile.load_points = {0, 1, 64};
  profile.spread.assign(6, 0);
  profile.latency = {0, 10, 10, 0, 10, 10};  // reading weights is nearly all of it
  const CostModel cost(profile, CostKind::per_expert, 1);
  const auto placement = on_ranks(2, {{0, 1}});
  Row row(2);
  TokenSplit(placement, SplitRule::water_fill, &cost).rank_loads(Tokens{2}, 0, row);
  EXPECT_EQ(row[0] * row[1], 0) << "the other replica's weights would be read for nothing";
}

}  // namespace
}  // namespace gembench
