#include "placement/strategies/eplb.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "placement/cost/expert_sums.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Loads = std::vector<std::int64_t>;

/// Fractional load of every rank of one layer, replicas sharing evenly.
std::vector<double> rank_load(const Placement& placement, int layer, const std::int64_t* load) {
  std::vector<int> copies(static_cast<std::size_t>(placement.experts), 0);
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (auto e : placement.on_rank(layer, rank))
      if (e >= 0) ++copies[static_cast<std::size_t>(e)];
  std::vector<double> sum;
  for (int rank = 0; rank < placement.ranks; ++rank) {
    sum.push_back(0);
    for (auto e : placement.on_rank(layer, rank))
      if (e >= 0) sum.back() += static_cast<double>(load[e]) / copies[static_cast<std::size_t>(e)];
  }
  return sum;
}

std::vector<int> copies_of(const Placement& placement, int layer) {
  std::vector<int> copies(static_cast<std::size_t>(placement.experts), 0);
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (auto e : placement.on_rank(layer, rank))
      if (e >= 0) ++copies[static_cast<std::size_t>(e)];
  return copies;
}

/// Numbers of replicas from the definition: one more, again and again, for who has most per
/// replica.
std::vector<int> plain_copies(const Loads& load, int places, int most) {
  std::vector<int> copies(load.size(), 1);
  for (auto left = places - int(load.size()); left > 0; --left) {
    auto best = load.size();
    for (std::size_t e = 0; e < load.size(); ++e)
      if (copies[e] < most &&
          (best == load.size() || load[e] * copies[best] > load[best] * copies[e]))
        best = e;
    if (best == load.size()) break;
    ++copies[best];
  }
  return copies;
}

/// Largest rank load of packing by the definition; -1 where a replica finds no rank.
double plain_packing(const Loads& load, const std::vector<int>& copies, int ranks, int slots) {
  std::vector<std::pair<double, std::size_t>> items;
  for (int i = 0; i < *std::max_element(copies.begin(), copies.end()); ++i)
    for (std::size_t e = 0; e < load.size(); ++e)
      if (i < copies[e]) items.emplace_back(static_cast<double>(load[e]) / copies[e], e);
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<double> sum(static_cast<std::size_t>(ranks), 0);
  std::vector<std::set<std::size_t>> held(sum.size());
  for (const auto& [share, e] : items) {
    auto best = sum.size();
    for (std::size_t r = 0; r < sum.size(); ++r)
      if (held[r].size() < std::size_t(slots) && !held[r].contains(e) &&
          (best == sum.size() || sum[r] < sum[best]))
        best = r;
    if (best == sum.size()) return -1;
    sum[best] += share;
    held[best].insert(e);
  }
  return *std::max_element(sum.begin(), sum.end());
}

Loads random_loads(Random& random, std::size_t count) {
  Loads loads;
  const auto spread = random.below(4);  // from all equal to a few that have nearly all
  for (std::size_t e = 0; e < count; ++e) {
    const auto u = random.uniform();
    loads.push_back(static_cast<std::int64_t>(100 + 10000 * std::pow(u, double(spread * 3))));
    if (random.below(20) == 0) loads.back() = 0;
    if (spread == 3) loads.back() /= 4000;  // small numbers: many ties
  }
  return loads;
}

TEST(Eplb, EqualsItsDefinition) {
  Random random(7);
  int packed = 0;
  int traded = 0;
  for (int i = 0; i < 20000; ++i) {
    const int ranks = 1 + int(random.below(8));
    const int slots = 2 + int(random.below(6));
    const int experts = 1 + int(random.below(std::uint64_t(ranks) * std::uint64_t(slots)));
    const auto load = random_loads(random, std::size_t(experts));
    const auto placement = eplb_from_sums({experts, ranks, slots, 1, 1}, load);
    ASSERT_NO_THROW(validate(placement));
    const auto copies = plain_copies(load, ranks * slots, ranks);
    EXPECT_EQ(copies_of(placement, 0), copies);
    const auto expected = plain_packing(load, copies, ranks, slots);
    traded += expected < 0;
    if (expected < 0) continue;
    ++packed;
    const auto sum = rank_load(placement, 0, load.data());
    EXPECT_NEAR(*std::max_element(sum.begin(), sum.end()), expected, 1e-9 * (1 + expected));
  }
  EXPECT_GT(packed, 500);
  EXPECT_GT(traded, 50) << "the trades are tested too";
}

TEST(Eplb, HasPublishedExamplesLoads) {
  // The README of deepseek-ai/EPLB: 12 experts, 16 replicas, 4 groups, 2 nodes, 8 GPUs.
  const Loads load = {90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86};
  const auto placement = eplb_from_sums({12, 8, 2, 2, 4}, load);
  EXPECT_EQ(copies_of(placement, 0), (std::vector<int>{1, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1}));
  const auto sum = rank_load(placement, 0, load.data());
  EXPECT_DOUBLE_EQ(*std::max_element(sum.begin(), sum.end()), 156);
}

TEST(Eplb, OneExpertPerRankStaysInOrder) {
  EXPECT_EQ(eplb_from_sums({3, 3, 1, 1, 1}, Loads{1, 3, 2}).slot_expert,
            (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(Eplb, GroupsStayOnTheirNode) {
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const int nodes = 1 + int(random.below(4));
    const int groups = nodes * (1 + int(random.below(3)));
    const int ranks = nodes * (1 + int(random.below(4)));
    const int experts = groups * (1 + int(random.below(5)));
    const int slots = (experts - 1) / ranks + 1 + int(random.below(3));
    const EplbShape shape{experts, ranks, slots, nodes, groups};
    const auto load = random_loads(random, std::size_t(experts));
    if (experts / nodes > ranks / nodes * slots) continue;
    const auto placement = eplb_from_sums(shape, load);
    ASSERT_NO_THROW(validate(placement));
    std::vector<std::set<int>> nodes_of(std::size_t(groups), std::set<int>{});
    for (int rank = 0; rank < ranks; ++rank)
      for (auto e : placement.on_rank(0, rank))
        if (e >= 0) nodes_of[std::size_t(e / (experts / groups))].insert(rank / (ranks / nodes));
    for (const auto& seen : nodes_of) EXPECT_EQ(seen.size(), 1u);
  }
}

TEST(Eplb, MoreSlotsThanCopiesAreLeftEmpty) {
  const auto placement = eplb_from_sums({2, 2, 4, 1, 1}, Loads{5, 0});
  EXPECT_NO_THROW(validate(placement));
  EXPECT_EQ(count_duplicates(placement), 2);
}

TEST(Eplb, RefusesWhatCannotBe) {
  const Loads load = {1, 2, 3, 4};
  const auto refused = [&](const char* part, const EplbShape& shape, const Loads& loads) {
    expect_refused(part, [&] { (void)eplb_from_sums(shape, loads); });
  };
  refused("at least 1", {4, 0, 2, 1, 1}, load);
  refused("2 ranks with 1 slots cannot hold 4", {4, 2, 1, 1, 1}, load);
  refused("do not divide", {4, 2, 2, 1, 3}, load);
  refused("do not divide", {4, 2, 2, 2, 1}, load);
  refused("do not divide", {4, 3, 2, 2, 2}, load);
  refused("no whole number of layers", {4, 2, 2, 1, 1}, {1, 2, 3});
  refused("no whole number of layers", {4, 2, 2, 1, 1}, {});
  refused("below zero", {4, 2, 2, 1, 1}, {1, 2, 3, -4});
  const auto trace = testing::small_trace(2, 1, 8, 2, 0);
  const CostModel cost(equal_ranks(4, 100));
  expect_refused("do not divide",
                 [&] { (void)plan_eplb_hier({.trace = trace, .cost = cost, .nodes = 3}); });
  const auto hier = plan_eplb_hier({.trace = trace, .cost = cost, .slots = 3, .nodes = 2});
  EXPECT_NO_THROW(validate(hier));
  EXPECT_EQ(hier.slots, 3);
}

TEST(ExpertSums, AreTheSameOnAnyNumberOfThreads) {
  Trace trace;
  trace.steps = 1025;
  trace.layers = 7;
  trace.experts = 150;
  for (std::size_t i = 0; i < 1025U * 7 * 150; ++i)
    trace.tokens.push_back(static_cast<std::int32_t>(i * 2654435761U % 1000));
  const auto one = expert_sums(trace, 1);
  for (int threads : {0, 2, 3, 2000}) EXPECT_EQ(expert_sums(trace, threads), one);
  trace.tokens.back() = -1;
  expect_refused("below zero", [&] { (void)expert_sums(trace, 2); });
}

TEST(ExpertSums, AreExactAndRefuseBrokenTraces) {
  for (int steps : {1, 2, 7}) {
    const auto trace = testing::small_trace(steps, 2, 6, 2, 1);
    const auto sums = expert_sums(trace);
    for (int layer = 0; layer < 2; ++layer)
      for (std::size_t e = 0; e < 6; ++e) {
        std::int64_t expected = 0;
        for (int step = 0; step < steps; ++step) expected += trace.loads(step, layer)[e];
        EXPECT_EQ(sums[std::size_t(layer) * 6 + e], expected);
      }
    EXPECT_NO_THROW(validate(summed_steps(trace)));
    auto broken = trace;
    broken.tokens.back() = -1;
    expect_refused("below zero", [&] { (void)expert_sums(broken); });
    broken.tokens.pop_back();
    expect_refused("record it again", [&] { (void)expert_sums(broken); });
  }
  Trace big;
  big.steps = 3;
  big.layers = big.experts = big.topk = 1;
  big.tokens.assign(3, 2147483647);
  EXPECT_EQ(expert_sums(big)[0], 3 * std::int64_t{2147483647});
  expect_refused("more than can be summed", [&] { (void)summed_steps(big); });
  expect_refused("0 steps", [] { (void)expert_sums(Trace{}); });
}

TEST(ExpertSums, GoWithTheCostOfThatManySteps) {
  const CostModel cost(testing::uneven_profile(2, 3, true));
  const auto over = over_steps(cost, 7);
  const auto equal = equal_speeds(cost, 3);
  for (std::int64_t load : {0, 5, 16, 100, 400}) {
    for (int rank : {0, 1})
      EXPECT_NEAR(over.seconds(rank, load * 7), cost.seconds(rank, load), 1e-9);
    EXPECT_NEAR(equal.seconds(2, load), (cost.seconds(0, load) + cost.seconds(1, load)) / 2,
                load <= 256 ? 1e-9 : 1e9);
  }
  expect_refused("too many", [&] {
    auto profile = equal_ranks(1, std::int64_t{1} << 60);
    (void)over_steps(CostModel(profile), 1000);
  });
}

/// Outputs of the reference balancer, where they are at hand: its own maps vary from run to run, so
/// loads are compared.
TEST(Eplb, BalancesAsTheReferenceDoes) {
  const char* fixtures = std::getenv("GEMBENCH_PEER_FIXTURES");
  const char* data = std::getenv("GEMBENCH_DATA");
  const auto folder = fixtures ? std::filesystem::path(fixtures)
                      : data   ? std::filesystem::path(data) / ".." / "peer_fixtures"
                               : std::filesystem::path();
  const auto path = folder / "eplb_golden.json";
  if (folder.empty() || !std::filesystem::exists(path))
    GTEST_SKIP() << "no eplb_golden.json; set GEMBENCH_PEER_FIXTURES to its folder";
  std::ifstream in(path);
  for (const auto& one : nlohmann::json::parse(in)) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const auto weight = one["weight"].get<std::vector<Loads>>();
    const auto maps = one["eplb_phy2log"].get<std::vector<std::vector<std::int32_t>>>();
    const auto counts = one["eplb_logcnt"].get<std::vector<std::vector<int>>>();
    const int ranks = one["num_gpus"];
    const int slots = one["num_replicas"].get<int>() / ranks;
    const EplbShape shape{int(weight[0].size()), ranks, slots, one["num_nodes"], one["num_groups"]};
    for (std::size_t layer = 0; layer < weight.size(); ++layer) {
      const auto ours = eplb_from_sums(shape, weight[layer]);
      EXPECT_NO_THROW(validate(ours));
      EXPECT_EQ(copies_of(ours, 0), counts[layer]);
      auto theirs = ours;
      theirs.slot_expert = maps[layer];
      auto our_sums = rank_load(ours, 0, weight[layer].data());
      auto their_sums = rank_load(theirs, 0, weight[layer].data());
      std::sort(our_sums.begin(), our_sums.end());
      std::sort(their_sums.begin(), their_sums.end());
      bool twice = false;  // the reference may put an expert on a rank twice
      try {
        validate(theirs);
      } catch (const Error&) {
        twice = true;
      }
      if (twice) {
        EXPECT_LE(our_sums.back(), their_sums.back() * 1.05);
        continue;
      }
      for (std::size_t rank = 0; rank < our_sums.size(); ++rank)
        EXPECT_NEAR(our_sums[rank], their_sums[rank], 1e-3) << "rank " << rank;
    }
  }
}

}  // namespace
}  // namespace gembench
