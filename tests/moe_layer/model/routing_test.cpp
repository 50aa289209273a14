#include "moe_layer/model/routing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

/// Random counts of `tokens` tokens with k distinct experts each: draws the tokens, counts them.
std::vector<std::int32_t> random_counts(Random& random, int tokens, int experts, int topk) {
  std::vector<std::int32_t> counts(static_cast<std::size_t>(experts), 0);
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int token = 0; token < tokens; ++token) {
    random.shuffle(order);
    for (int k = 0; k < topk; ++k) ++counts[order[static_cast<std::size_t>(k)]];
  }
  return counts;
}

TEST(DealCounts, every_expert_gets_its_count_and_no_token_an_expert_twice) {
  Random random(7);
  for (int instance = 0; instance < 200; ++instance) {
    const int experts = 1 + static_cast<int>(random.below(40));
    const int topk = 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(experts)));
    const int tokens = 1 + static_cast<int>(random.below(50));
    const auto counts = random_counts(random, tokens, experts, topk);
    std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens * topk), 9999);
    deal_counts(counts, tokens, topk, random.next(), ids);
    std::vector<std::int32_t> dealt(counts.size(), 0);
    for (int token = 0; token < tokens; ++token) {
      const auto first = ids.begin() + token * topk;
      EXPECT_EQ(std::set<std::uint16_t>(first, first + topk).size(),
                static_cast<std::size_t>(topk));
    }
    for (const auto id : ids) ++dealt.at(id);
    EXPECT_EQ(dealt, counts);
  }
}

TEST(DealCounts, which_experts_meet_has_no_order) {
  // Even counts, 32 experts on 4 ranks of 8, top-4: distinct ranks of a token must be what drawing
  // without replacement gives (2.76), not inflated by dealing neighbours to different tokens.
  const int tokens = 64, topk = 4;
  const std::vector<std::int32_t> counts(32, 8);
  std::vector<std::uint16_t> ids(tokens * topk);
  double distinct = 0;
  for (int step = 0; step < 200; ++step) {
    deal_counts(counts, tokens, topk, fold(1, static_cast<std::uint64_t>(step)), ids);
    for (int token = 0; token < tokens; ++token) {
      std::set<int> ranks;
      for (int k = 0; k < topk; ++k)
        ranks.insert(ids[static_cast<std::size_t>(token * topk + k)] / 8);
      distinct += static_cast<double>(ranks.size());
    }
  }
  const double miss = (24.0 * 23 * 22 * 21) / (32.0 * 31 * 30 * 29);  // a rank meets no expert
  EXPECT_NEAR(distinct / (200 * tokens), 4 * (1 - miss), 0.05);
}

TEST(LocalTokens, cover_every_token_once_and_differ_by_at_most_one) {
  for (int tokens : {1, 5, 8, 1023}) {
    for (int ranks : {1, 2, 3, 8}) {
      int next = 0, least = tokens, most = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const TokenRange range = local_tokens(tokens, rank, ranks);
        EXPECT_EQ(range.first, next);
        next += range.count;
        least = std::min(least, range.count);
        most = std::max(most, range.count);
      }
      EXPECT_EQ(next, tokens);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(RoutedIds, ranks_see_parts_of_one_and_the_same_deal) {
  Trace trace;
  trace.steps = 2;
  trace.layers = 3;
  trace.experts = 8;
  trace.topk = 2;
  trace.tokens.assign(2 * 3 * 8, 5);  // 20 tokens
  const auto whole = routed_ids(trace, 1, 42, {0, 20});
  for (int ranks : {2, 3}) {
    for (int rank = 0; rank < ranks; ++rank) {
      const TokenRange range = local_tokens(20, rank, ranks);
      const auto part = routed_ids(trace, 1, 42, range);
      for (int layer = 0; layer < 3; ++layer) {
        for (int token = 0; token < range.count; ++token) {
          for (int k = 0; k < 2; ++k) {
            EXPECT_EQ(part[static_cast<std::size_t>((layer * range.count + token) * 2 + k)],
                      whole[static_cast<std::size_t>((layer * 20 + range.first + token) * 2 + k)]);
          }
        }
      }
    }
  }
  EXPECT_NE(whole, routed_ids(trace, 0, 42, {0, 20}));
}

TEST(Routing, shares_are_kept_exactly_and_in_proportion) {
  const std::vector<int> shares{10, 0, 100, 18};
  for (const int tokens : {0, 1, 7, 64, 128, 1000}) {
    int next = 0;
    for (int rank = 0; rank < 4; ++rank) {
      const TokenRange range = local_tokens(tokens, rank, shares);
      EXPECT_EQ(range.first, next);
      next += range.count;
      EXPECT_NEAR(range.count, tokens * shares[static_cast<std::size_t>(rank)] / 128.0, 1.0);
      if (tokens == 128) {
        EXPECT_EQ(range.count, shares[static_cast<std::size_t>(rank)]);
      }
    }
    EXPECT_EQ(next, tokens);
  }
}

TEST(Routing, a_row_goes_once_to_every_rank_that_has_an_expert_of_the_token) {
  // Two layers, three tokens, two of four experts each; experts 0, 1 on rank 0 and 2, 3 on rank 1
  // in layer 0, the other way round in layer 1.
  const std::vector<std::uint16_t> ids{0, 1, 1, 2, 3, 2, 0, 1, 0, 3, 2, 3};
  const std::vector<Location> where{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 0}, {1, 1}, {0, 0}, {0, 1}};
  std::vector<std::int64_t> rows{100, 0, 0, 0};
  count_rows(ids, where, 2, 2, 2, rows);
  EXPECT_EQ(rows, (std::vector<std::int64_t>{102, 2, 2, 2}));
}

}  // namespace
}  // namespace gembench
