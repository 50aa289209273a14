#include <algorithm>
#include <numeric>

#include "placement/base/statistics.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

/// Loads of [rank] under `linear`, the placement that the workloads speak of.
std::vector<std::int64_t> rank_loads(const Trace& trace, int step, int layer, int ranks) {
  const CostModel cost(equal_ranks(ranks, 1000));
  const auto linear = plan_linear({trace, cost});
  std::vector<std::int64_t> loads(std::size_t(ranks), 0);
  for (int rank = 0; rank < ranks; ++rank)
    for (const auto expert : linear.on_rank(layer, rank))
      if (expert >= 0) loads[std::size_t(rank)] += trace.loads(step, layer)[std::size_t(expert)];
  return loads;
}

/// [expert] counts above the mean: with a heat of 4 these are the hot experts.
std::vector<int> hot_experts(const Trace& trace, int step, int layer) {
  const auto loads = trace.loads(step, layer);
  const double mean = double(trace.tokens_in_step(step)) * trace.topk / trace.experts;
  std::vector<int> hot;
  for (int e = 0; e < trace.experts; ++e)
    if (loads[std::size_t(e)] > mean + 1) hot.push_back(e);
  return hot;
}

class Workloads : public ::testing::TestWithParam<int> {
 protected:
  static Trace made(const char* preset) {
    SyntheticSpec spec{70, 3, 27, 2, 5000, std::uint64_t(GetParam())};
    spec.ranks = 4;
    return make_trace(preset, spec);
  }
};

TEST_P(Workloads, HotExpertsAreAsHotAsStated) {
  for (const char* preset : {"w1-hot-experts", "w2-hot-rank", "w3-spread-hot"}) {
    const auto trace = made(preset);
    for (int layer = 0; layer < 3; ++layer) {
      const auto hot = hot_experts(trace, 0, layer);
      const auto n = double(hot.size());
      EXPECT_EQ(hot, hot_experts(trace, 69, layer)) << preset << " stay hot";
      const double cold = 10000 / (4 * n + (27 - n));
      for (int e = 0; e < 27; ++e)
        EXPECT_NEAR(trace.loads(5, layer)[std::size_t(e)],
                    std::ranges::count(hot, e) > 0 ? 4 * cold : cold, 1)
            << preset << " " << e;
    }
  }
  const auto sets = made("w1-hot-experts");
  EXPECT_EQ(hot_experts(sets, 0, 0).size(), 3u) << "an eighth of 27";
  EXPECT_NE(hot_experts(sets, 0, 0), hot_experts(sets, 0, 1)) << "layers differ";
}

TEST_P(Workloads, TheSameHeatIsOnOneRankOrSpread) {
  const auto rank = made("w2-hot-rank");
  const auto spread = made("w3-spread-hot");
  EXPECT_EQ(hot_experts(rank, 0, 1).size(), hot_experts(spread, 0, 1).size());
  const auto together = rank_loads(rank, 0, 1, 4);
  const auto apart = rank_loads(spread, 0, 1, 4);
  EXPECT_GT(imbalance(together), 2);
  EXPECT_LT(imbalance(apart), 1.2) << "seven experts, of four ranks one has fewer hot ones";
}

TEST_P(Workloads, SourcesAreRaggedAndExpertsAreNot) {
  const auto trace = made("w4-source-ragged");
  ASSERT_EQ(trace.sources, 4);
  std::vector<int> first;
  for (int step = 0; step < 70; ++step)
    for (int layer = 0; layer < 3; ++layer) {
      std::vector<int> batches;
      for (int source = 0; source < 4; ++source) {
        const auto own = trace.source_loads(step, layer).subspan(std::size_t(source) * 27, 27);
        batches.push_back(std::accumulate(own.begin(), own.end(), 0) / 2);
        const auto [least, most] = std::ranges::minmax(own);
        EXPECT_LE(most - least, 1);
      }
      if (first.empty()) first = batches;
      EXPECT_EQ(batches, first) << "in all steps and layers";
      const auto [least, most] = std::ranges::minmax(trace.loads(step, layer));
      EXPECT_LE(most - least, 1);
    }
  std::ranges::sort(first);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(first[std::size_t(i)], 500 * (i + 1), 1);
}

TEST_P(Workloads, OneRankGetsNothing) {
  const auto trace = made("w5-zero-expert-rank");
  const auto loads = rank_loads(trace, 0, 0, 4);
  EXPECT_EQ(std::ranges::count(loads, 0), 1);
  const auto counts = trace.loads(3, 2);
  const auto idle = std::ranges::count(counts, 0);
  EXPECT_TRUE(idle == 6 || idle == 7) << idle;
  for (const auto count : counts) {
    if (count == 0) continue;
    EXPECT_NEAR(count, 10000.0 / double(27 - idle), 1);
  }
}

TEST_P(Workloads, TheHotSpotMovesFromRankToRank) {
  const auto trace = made("w6-rotating-hotspot");
  const auto hottest = [&](const Trace& of, int step) {
    const auto loads = rank_loads(of, step, 1, 4);
    return int(std::ranges::max_element(loads) - loads.begin());
  };
  for (int step = 1; step < 70; ++step)
    EXPECT_EQ(hottest(trace, step), (hottest(trace, step - 1) + 1) % 4);
  EXPECT_EQ(hottest(trace, 0), hottest(made("w2-hot-rank"), 0));
  SyntheticSpec spec{30, 1, 16, 2, 999, 7};
  spec.ranks = 4;
  const SyntheticParameter set[] = {{"dwell", 10}};
  const auto slow = make_trace("w6-rotating-hotspot", spec, set);
  EXPECT_EQ(hot_experts(slow, 0, 0), hot_experts(slow, 9, 0));
  EXPECT_NE(hot_experts(slow, 0, 0), hot_experts(slow, 10, 0));
}

TEST_P(Workloads, BurstsAreShortAndHaveOtherExperts) {
  const auto trace = made("w7-burst");
  for (int step = 0; step < 70; ++step)
    EXPECT_EQ(hot_experts(trace, step, 0).size(), step % 32 >= 28 ? 3u : 0u) << step;
  EXPECT_EQ(hot_experts(trace, 28, 0), hot_experts(trace, 31, 0));
  bool others = false;
  for (int layer = 0; layer < 3; ++layer)
    others |= hot_experts(trace, 28, layer) != hot_experts(trace, 60, layer);
  EXPECT_TRUE(others);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Workloads, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace gembench
