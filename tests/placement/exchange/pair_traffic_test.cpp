#include "placement/exchange/pair_traffic.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "placement/cost/node_traffic.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "tests/placement/exchange.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// Steps of 12 tokens whose experts are known; every expert of a token is another.
Trace trace_with_ids(Random& random, int layers, int experts, int topk, int tokens = 12) {
  Trace trace;
  trace.steps = 3;
  trace.layers = layers;
  trace.experts = experts;
  trace.topk = topk;
  std::vector<std::uint16_t> all(static_cast<std::size_t>(experts));
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  for (int row = 0; row < trace.steps * tokens * layers; ++row) {
    random.shuffle(all);
    trace.topk_ids.insert(trace.topk_ids.end(), all.begin(), all.begin() + topk);
  }
  count_tokens(trace, tokens);
  return trace;
}

Placement placement_for(Random& random, const Trace& trace, int ranks, int spare) {
  for (;;) {
    auto file = testing::random_full_placement(random, spare);
    const auto& p = file.placement;
    if (p.layers == trace.layers && p.experts == trace.experts && p.ranks == ranks)
      return file.placement;
  }
}

std::int64_t sum_of(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

TEST(PairTraffic, OfIdsIsWhatTokensSay) {
  Random random(5);
  for (int i = 0; i < 20; ++i) {
    const int ranks = 2 + static_cast<int>(random.below(3)),
              tokens = 7 + static_cast<int>(random.below(9));
    const auto trace = trace_with_ids(random, 2, 2 * ranks, 2, tokens);
    const auto placement = placement_for(random, trace, ranks, 0);
    const TokenSplit split(placement);
    const auto location = locations(placement);
    const auto got = pair_traffic(trace, placement, split, 1, 1);
    std::vector<double> expected(std::size_t(ranks) * std::size_t(ranks), 0);
    // Oracle: token by token, whose it is by counting.
    int token = 0;
    for (int source = 0; source < ranks; ++source)
      for (int n = 0; n < tokens / ranks + (source < tokens % ranks); ++n, ++token) {
        std::set<int> to;
        for (int k = 0; k < 2; ++k) {
          const auto e = trace.ids(1, token)[std::size_t(2 + k)];
          to.insert(location[std::size_t(trace.experts + e)].rank);
        }
        for (int rank : to) expected[std::size_t(source * ranks + rank)] += 1;
      }
    EXPECT_EQ(got.tokens, expected);
    EXPECT_EQ(sum_of(got.sources), tokens);
    EXPECT_EQ(sum_of(got.choices), tokens * 2);
  }
}

TEST(PairTraffic, NoTokenIsLostWhateverIsKnown) {
  Random random(6);
  for (int i = 0; i < 30; ++i) {
    const int ranks = 2 + static_cast<int>(random.below(3));
    auto trace = trace_with_ids(random, 1, 2 * ranks, 2, 12);
    const auto placement = placement_for(random, trace, ranks, 2);
    const TokenSplit split(placement);
    std::map<std::string, PairTraffic> found;
    found["ids"] = pair_traffic(trace, placement, split, 0, 0);
    // The same tokens, known by source: what an engine would have recorded.
    trace.sources = ranks;
    trace.source_tokens.assign(
        std::size_t(trace.steps) * std::size_t(ranks) * std::size_t(trace.experts), 0);
    for (int step = 0; step < trace.steps; ++step)
      for (int token = 0, source = 0, left = 12 / ranks + (12 % ranks > 0); token < 12; ++token) {
        if (left == 0) left = 12 / ranks + (++source < 12 % ranks);
        --left;
        for (auto e : trace.ids(step, token))
          ++trace.source_tokens[std::size_t((step * ranks + source) * trace.experts + e)];
      }
    trace.topk_ids.clear();
    validate(trace);
    found["sources"] = pair_traffic(trace, placement, split, 0, 0);
    trace.sources = 0;
    trace.source_tokens.clear();
    found["counts"] = pair_traffic(trace, placement, split, 0, 0);
    EXPECT_EQ(found["ids"].choices, found["sources"].choices);
    EXPECT_EQ(found["ids"].histogram, found["sources"].histogram);
    for (auto& [basis, traffic] : found) {
      SCOPED_TRACE(basis);
      EXPECT_EQ(sum_of(traffic.choices), 24);
      EXPECT_EQ(sum_of(traffic.histogram), 24);
      EXPECT_EQ(sum_of(traffic.sources), 12);
      for (int rank = 0; rank < ranks; ++rank) {
        std::int64_t sent = 0, came = 0, held = 0;
        for (int other = 0; other < ranks; ++other) {
          sent += traffic.choices[std::size_t(rank * ranks + other)];
          came += traffic.choices[std::size_t(other * ranks + rank)];
        }
        for (int slot = 0; slot < placement.slots; ++slot)
          held += traffic.histogram[std::size_t(rank * placement.slots + slot)];
        EXPECT_EQ(came, held);
        if (12 % ranks == 0) {
          EXPECT_EQ(sent, 24 / ranks) << "every rank's tokens times top-k";
        }
      }
      // A token that goes somewhere has chosen something there. Choices of counts are whole.
      const double rounding = basis == "counts" ? placement.slots : 1e-9;
      for (std::size_t cell = 0; cell < traffic.tokens.size(); ++cell)
        EXPECT_LE(traffic.tokens[cell], static_cast<double>(traffic.choices[cell]) + rounding);
    }
    // Plain counts expect what node_traffic does, where every rank is a node.
    double outside = 0;
    Trace step = slice(trace, 0, 1);
    for (int a = 0; a < ranks; ++a)
      for (int b = 0; b < ranks; ++b)
        if (a != b) outside += found["counts"].tokens[std::size_t(a * ranks + b)];
    if (12 % ranks == 0) {
      EXPECT_NEAR(outside, node_traffic(step, placement, {1, false, 1, 0}).bytes, 1e-9);
    }
  }
}

TEST(PairTraffic, WritesAMatrixForNcclTests) {
  Random random(7);
  const auto trace = trace_with_ids(random, 1, 6, 2);
  const auto placement = placement_for(random, trace, 3, 0);
  const auto* format = find_traffic_format("nccl-alltoallv");
  ASSERT_TRUE(format);
  const TokenSplit split(placement);
  for (const std::optional<int> step : {std::optional<int>(2), std::optional<int>()}) {
    std::istringstream text(format->write({placement, trace, 0, step, 100}));
    for (int source = 0; source < 3; ++source)
      for (int to = 0; to < 3; ++to) {
        double tokens = 0;
        for (int s = 0; s < 3; ++s)
          if (!step || *step == s)
            tokens +=
                pair_traffic(trace, placement, split, s, 0).tokens[std::size_t(source * 3 + to)] /
                (step ? 1 : 3);
        std::int64_t bytes = -1;
        text >> bytes;
        EXPECT_EQ(bytes % 16, 0);
        if (source == to) {
          EXPECT_EQ(bytes, 0);
        } else {
          EXPECT_GE(static_cast<double>(bytes) + 1e-6, tokens * 100);
          EXPECT_LT(static_cast<double>(bytes), tokens * 100 + 16);
        }
      }
    std::string more;
    EXPECT_FALSE(text >> more);
  }
  expect_refused("--token-bytes", [&] { (void)format->write({placement, trace, 0, 0, 0}); });
  expect_refused("no layer 1", [&] { (void)format->write({placement, trace, 1, 0, 1}); });
  expect_refused("no step 3", [&] { (void)format->write({placement, trace, 0, 3, 1}); });
  EXPECT_FALSE(find_traffic_format("nccl"));
}

TEST(PairTraffic, WritesARoutingPatternForBenchMoe) {
  Placement placement = {1, 2, 2, 4, {0, 1, 2, 3}, ""};
  Trace trace;
  trace.steps = 2;
  trace.layers = 1;
  trace.experts = 4;
  trace.topk = 2;
  trace.tokens = {5, 2, 3, 2, 3, 3, 2, 2};
  trace.sources = 2;
  trace.source_tokens = {3, 1, 1, 1, 2, 1, 2, 1, 3, 2, 0, 1, 0, 1, 2, 1};
  const auto* format = find_traffic_format("bench-moe");
  ASSERT_TRUE(format);
  EXPECT_EQ(format->write({placement, trace, 0, 0, 0}),
            R"({"ep_size": 2, "experts_per_rank": 2, "slot_dispatch_matrix": [[4, 2], [3, 3]], )"
            R"("expert_histogram": [[5, 2], [3, 2]]})");
  expect_refused("the same number of tokens on every rank, and in step 1 ranks have 2 to 3", [&] {
    (void)format->write({placement, trace, 0, 1, 0});
  });
  expect_refused("--step N", [&] { (void)format->write({placement, trace, 0, {}, 0}); });
  trace.sources = 0;
  trace.source_tokens.clear();
  const auto json = nlohmann::json::parse(format->write({placement, trace, 0, 0, 0}));
  EXPECT_EQ(json["expert_histogram"].dump(), "[[5,2],[3,2]]");
  for (const auto& row : json["slot_dispatch_matrix"])
    EXPECT_EQ(row[0].get<int>() + row[1].get<int>(), 6);
}

/// A pattern that others wrote, where it is at hand: loads that have it come out as the same bytes.
TEST(PairTraffic, ASampleOfBenchMoeComesOutAsItWas) {
  const auto folder = testing::peer_fixtures();
  const auto path = folder / "trtllm_bench_moe_routing_pattern.json";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "no samples in " << folder << "; set GEMBENCH_PEER_FIXTURES to their folder";
  const auto content = testing::slurp(path);
  const auto json = nlohmann::json::parse(content);
  const int ranks = json["ep_size"], slots = json["experts_per_rank"];
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = ranks * slots;
  trace.sources = ranks;
  trace.source_tokens.assign(std::size_t(ranks * trace.experts), 0);
  for (int to = 0; to < ranks; ++to)
    for (int source = 0, slot = 0; source < ranks; ++source)
      for (int left = json["slot_dispatch_matrix"][std::size_t(source)][std::size_t(to)]; left > 0;
           --left) {
        std::int32_t held = 0;
        const int want = json["expert_histogram"][std::size_t(to)][std::size_t(slot)];
        const auto cell = [&](int from) -> std::int32_t& {
          return trace.source_tokens[std::size_t(from * trace.experts + to * slots + slot)];
        };
        for (int from = 0; from < ranks; ++from) held += cell(from);
        if (held == want) ++slot;
        ++cell(source);
      }
  for (int e = 0; e < trace.experts; ++e) {
    trace.tokens.push_back(0);
    for (int source = 0; source < ranks; ++source)
      trace.tokens.back() += trace.source_tokens[std::size_t(source * trace.experts + e)];
  }
  validate(trace);
  Placement placement = empty_placement(1, ranks, trace.experts);
  std::iota(placement.slot_expert.begin(), placement.slot_expert.end(), 0);
  EXPECT_EQ(find_traffic_format("bench-moe")->write({placement, trace, 0, 0, 0}), content);
}

}  // namespace
}  // namespace gembench
