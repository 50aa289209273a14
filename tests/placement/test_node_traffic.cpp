#include <numeric>
#include <set>

#include "placement/gem_plus.hpp"
#include "placement/node_traffic.hpp"
#include "support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// What is counted: ranks on other nodes than the source that hold something needed, or those
/// nodes.
double crossing(const NodeNetwork& network, int ranks, int source, const std::set<int>& needed) {
  std::set<int> targets;
  for (int rank : needed)
    if (rank / network.ranks_per_node != source / network.ranks_per_node)
      targets.insert(network.once_a_node ? rank / network.ranks_per_node : rank);
  return double(targets.size()) / ranks;
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
  const auto home = homes(placement);
  for (bool once : {false, true})
    for (int each : {2, 3, 4, 6}) {
      const NodeNetwork network{each, once, 10, 0};
      double sum = 0;
      for (int step = 0; step < trace.steps; ++step)
        for (int token = 0; token < tokens; ++token)
          for (int layer = 0; layer < 2; ++layer) {
            std::set<int> needed;
            for (int k = 0; k < topk; ++k)
              needed.insert(home[std::size_t(layer * experts) +
                                 trace.ids(step, token)[std::size_t(layer * topk + k)]]
                                .rank);
            for (int source = 0; source < ranks; ++source)
              sum += crossing(network, ranks, source, needed);
          }
      EXPECT_NEAR(cross_node_bytes(trace, placement, network), 10 * sum / trace.steps, 1e-6);
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
    EXPECT_NEAR(cross_node_bytes(trace, placement, network), 7 * sum / trace.steps, 1e-6);
  }
  EXPECT_EQ(cross_node_bytes(trace, placement, {0, false, 7, 0}), 0) << "one node";
  expect_refused("bytes", [&] { (void)cross_node_bytes(trace, placement, {2, false, 0, 0}); });
}

TEST(NodeTraffic, PlannersTradeTimeForTraffic) {
  const auto trace = make_trace("bursty", {128, 2, 32, 4, 256, 3});
  const CostModel cost(testing::uneven_profile(8, 4));
  for (int replicas : {0, 6})
    for (bool once : {false, true}) {
      PlanInput input{trace, cost, 2, 5};
      input.replicas = replicas;
      const auto plain = plan_gem_plus(input);
      const auto bytes = cross_node_bytes(trace, plain, {4, once, 1, 0});
      const auto seconds = objective(trace, plain, cost) / trace.steps;
      // Traffic ten times as dear as the work: then it must fall, and the sum of both.
      input.network = {4, once, 1, 10 * seconds / bytes};
      const auto settled = plan_gem_plus(input, {.threads = 1, .isa = Isa::plain});
      validate(settled);
      EXPECT_EQ(count_duplicates(settled), count_duplicates(plain));
      const auto after = cross_node_bytes(trace, settled, input.network);
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
    const auto linear = cross_node_bytes(trace, plan_linear(input), input.network);
    const auto settled = plan_gem_plus(input);
    validate(settled);
    // Every token needs one target: half of the sources are on its node.
    EXPECT_NEAR(cross_node_bytes(trace, settled, input.network), tokens * 0.5, 1e-9);
    EXPECT_GT(linear, tokens * 0.6);
    EXPECT_EQ(settled.slot_expert,
              plan_gem_plus(input, {.threads = 1, .isa = Isa::plain}).slot_expert);
  }
}

}  // namespace
}  // namespace gembench
