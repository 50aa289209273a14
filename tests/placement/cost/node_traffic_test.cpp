#include <numeric>
#include <set>

#include "placement/cost/node_network.hpp"
#include "placement/cost/node_traffic.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// Prices of links between nodes, the diagonal too large to be overlooked.
std::vector<double> uneven_links(int nodes) {
  std::vector<double> links;
  for (int from = 0; from < nodes; ++from)
    for (int to = 0; to < nodes; ++to) links.push_back(from == to ? 1e9 : 1 + from + 3 * to);
  return links;
}

/// What is counted: ranks on other nodes than the source that hold something needed, or those
/// nodes.
double crossing(const NodeNetwork& network, int ranks, int source, const std::set<int>& needed) {
  std::set<int> targets;
  for (int rank : needed)
    if (rank / network.ranks_per_node != source / network.ranks_per_node)
      targets.insert(network.once_a_node ? rank / network.ranks_per_node : rank);
  return double(targets.size()) / ranks;
}

/// Seconds of the same when every link has a price.
double crossing_seconds(const NodeNetwork& network, int ranks, int source,
                        const std::set<int>& needed) {
  const int each = network.ranks_per_node, nodes = (ranks + each - 1) / each;
  double sum = 0;
  std::set<int> seen;
  for (int rank : needed) {
    if (rank / each == source / each) continue;
    if (network.once_a_node && !seen.insert(rank / each).second) continue;
    sum += network.link_seconds_per_byte[std::size_t(source / each * nodes + rank / each)];
  }
  return sum / ranks;
}

TEST(NodeTraffic, ByIdsIsWhatDispatchSends) {
  const int ranks = 6, experts = 12, tokens = 40, topk = 3;
  Random random(3);
  Trace trace;
  trace.steps = 2;
  trace.layers = 2;
  trace.experts = experts;
  trace.topk = topk;
  std::vector<std::uint16_t> order(experts);
  std::iota(order.begin(), order.end(), std::uint16_t{0});
  for (int i = 0; i < trace.steps * tokens * trace.layers; ++i) {
    random.shuffle(order);
    trace.topk_ids.insert(trace.topk_ids.end(), order.begin(), order.begin() + topk);
  }
  count_tokens(trace, tokens);
  validate(trace);
  const auto placement = plan_random({trace, CostModel(equal_ranks(ranks, 100)), 4});
  const auto location = locations(placement);
  for (bool once : {false, true})
    for (int each : {2, 3, 4, 6}) {
      const NodeNetwork network{each, once, 10, 0, uneven_links((ranks + each - 1) / each)};
      double sum = 0, seconds = 0;
      for (int step = 0; step < trace.steps; ++step)
        for (int token = 0; token < tokens; ++token)
          for (int layer = 0; layer < 2; ++layer) {
            std::set<int> needed;
            for (int k = 0; k < topk; ++k)
              needed.insert(location[std::size_t(layer * experts) +
                                     trace.ids(step, token)[std::size_t(layer * topk + k)]]
                                .rank);
            for (int source = 0; source < ranks; ++source) {
              sum += crossing(network, ranks, source, needed);
              seconds += crossing_seconds(network, ranks, source, needed);
            }
          }
      const auto traffic = node_traffic(trace, placement, network);
      EXPECT_NEAR(traffic.bytes, 10 * sum / trace.steps, 1e-6);
      EXPECT_NEAR(traffic.seconds, 10 * seconds / trace.steps, 1e-6);
    }
}

TEST(NodeTraffic, ByCountsIsTheMeanOverIndependentChoices) {
  const int ranks = 4, experts = 8;
  const auto trace = testing::small_trace(3, 1, experts, 2, 5);
  const CostModel cost(testing::uneven_profile(ranks, 2));
  PlanInput input{trace, cost, 1, 3};
  input.replicas = 3;
  const auto placement = plan_eplb(input);
  const TokenSplit split(placement);
  std::vector<std::int64_t> slots(placement.slot_expert.size());
  for (bool once : {false, true}) {
    const NodeNetwork network{2, once, 7, 0};
    double sum = 0;
    for (int step = 0; step < trace.steps; ++step) {
      split.slot_loads(trace.loads(step, 0), 0, slots);
      const auto tokens = trace.tokens_in_step(step);
      for (std::uint32_t chosen = 0; chosen < 1U << slots.size(); ++chosen) {
        double chance = 1;
        std::set<int> needed;
        for (std::size_t cell = 0; cell < slots.size(); ++cell) {
          const auto one = double(slots[cell]) / tokens;
          chance *= chosen >> cell & 1 ? one : 1 - one;
          if (chosen >> cell & 1) needed.insert(int(cell) / placement.slots);
        }
        if (chance == 0) continue;
        for (int source = 0; source < ranks; ++source)
          sum += chance * tokens * crossing(network, ranks, source, needed);
      }
    }
    EXPECT_NEAR(node_traffic(trace, placement, network).bytes, 7 * sum / trace.steps, 1e-6);
  }
  EXPECT_EQ(node_traffic(trace, placement, {0, false, 7, 0}).bytes, 0) << "one node";
  expect_refused("bytes", [&] { (void)node_traffic(trace, placement, {2, false, 0, 0}); });
}

TEST(NodeTraffic, PricesOfLinksMustFitTheNodes) {
  const auto trace = testing::small_trace(3, 1, 8, 2, 5);
  const auto placement = plan_linear({trace, CostModel(equal_ranks(4, 100)), 1});
  expect_refused("3 prices of links for 2 nodes", [&] {
    (void)node_traffic(trace, placement, {2, false, 1, 0, {0, 1, 1}});
  });
  expect_refused("from node 1 to node 0 is -1", [&] {
    (void)node_traffic(trace, placement, {2, false, 1, 0, {0, 1, -1, 0}});
  });
  const auto alike = node_traffic(trace, placement, {2, false, 1, 3});
  EXPECT_DOUBLE_EQ(alike.seconds, 3 * alike.bytes);
  EXPECT_DOUBLE_EQ(node_traffic(trace, placement, {2, false, 1, 0, {0, 3, 3, 0}}).seconds,
                   alike.seconds);
}

TEST(NodeTraffic, TrafficLeavesTheDearLink) {
  // Three nodes; sending to the last is dear. Tokens choose from groups that lie across the nodes.
  const auto trace = make_trace("bursty", {128, 1, 24, 4, 256, 3});
  const CostModel cost(testing::uneven_profile(6, 4));
  for (bool once : {false, true}) {
    PlanInput input{trace, cost, 2, 5};
    const auto plain = plan_gem_plus(input);
    const auto seconds = objective(trace, plain, cost) / trace.steps;
    const auto bytes = node_traffic(trace, plain, {2, once, 1, 0}).bytes;
    const auto dear = 30 * seconds / bytes;
    input.network = {2, once, 1, 0, {0, 0, dear, 0, 0, dear, 0, 0, 0}};
    const auto before = node_traffic(trace, plain, input.network).seconds;
    const auto settled = plan_gem_plus(input);
    validate(settled);
    const auto after = node_traffic(trace, settled, input.network).seconds;
    EXPECT_LT(after, before);
    EXPECT_LT(objective(trace, settled, cost) / trace.steps + after, seconds + before);
  }
}

TEST(NodeTraffic, PlannersTradeTimeForTraffic) {
  const auto trace = make_trace("bursty", {128, 2, 32, 4, 256, 3});
  const CostModel cost(testing::uneven_profile(8, 4));
  for (int replicas : {0, 6})
    for (bool once : {false, true}) {
      PlanInput input{trace, cost, 2, 5};
      input.replicas = replicas;
      const auto plain = plan_gem_plus(input);
      const auto bytes = node_traffic(trace, plain, {4, once, 1, 0}).bytes;
      const auto seconds = objective(trace, plain, cost) / trace.steps;
      // Traffic ten times as dear as the work: then it must fall, and the sum of both.
      input.network = {4, once, 1, 10 * seconds / bytes};
      const auto settled = plan_gem_plus(input, {.threads = 1, .isa = Isa::plain});
      validate(settled);
      EXPECT_EQ(count_duplicates(settled), count_duplicates(plain));
      const auto after = node_traffic(trace, settled, input.network).bytes;
      EXPECT_LT(after, bytes);
      EXPECT_LT(
          objective(trace, settled, cost) / trace.steps + after * input.network.seconds_per_byte,
          11 * seconds);
      for (auto isa : {Isa::avx2, Isa::avx512}) {
        if (!has_isa(isa)) continue;
        EXPECT_EQ(settled.slot_expert,
                  plan_gem_plus(input, {.threads = 2, .isa = isa}).slot_expert);
      }
      input.network.seconds_per_byte = 0;
      EXPECT_EQ(plan_gem_plus(input).slot_expert, plain.slot_expert);
    }
}

TEST(NodeTraffic, TokensThatChooseTogetherAreKeptTogether) {
  // Tokens choose two experts of one of four groups, which lie across the nodes at first.
  const int ranks = 4, experts = 16, tokens = 64;
  Random random(5);
  Trace trace;
  trace.steps = 4;
  trace.layers = 1;
  trace.experts = experts;
  trace.topk = 2;
  for (int i = 0; i < trace.steps * tokens; ++i) {
    const auto group = random.below(4);
    const auto first = random.below(4);
    const auto second = (first + 1 + random.below(3)) % 4;
    for (auto member : {first, second}) trace.topk_ids.push_back(std::uint16_t(member * 4 + group));
  }
  count_tokens(trace, tokens);
  validate(trace);
  const CostModel cost(equal_ranks(ranks, 200));
  for (bool once : {false, true}) {
    PlanInput input{trace, cost, 1};
    input.network = {2, once, 1, 100};
    const auto linear = node_traffic(trace, plan_linear(input), input.network).bytes;
    const auto settled = plan_gem_plus(input);
    validate(settled);
    // Every token needs one target: half of the sources are on its node.
    EXPECT_NEAR(node_traffic(trace, settled, input.network).bytes, tokens * 0.5, 1e-9);
    EXPECT_GT(linear, tokens * 0.6);
    EXPECT_EQ(settled.slot_expert,
              plan_gem_plus(input, {.threads = 1, .isa = Isa::plain}).slot_expert);
  }
}

}  // namespace
}  // namespace gembench
