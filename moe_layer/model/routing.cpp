#include "moe_layer/model/routing.hpp"

#include <algorithm>
#include <numeric>

#include "placement/base/random.hpp"

namespace gembench::inline model {
namespace {

constexpr std::uint64_t kDealStream = 0x6465616c;  // keeps dealing apart from weights and inputs

}  // namespace

TokenRange local_tokens(int tokens, int rank, int ranks) {
  const int each = tokens / ranks;
  const int more = tokens % ranks;
  return {rank * each + std::min(rank, more), each + (rank < more ? 1 : 0)};
}

TokenRange local_tokens(int tokens, int rank, std::span<const int> shares) {
  const auto up_to = [&](int ranks) {
    return std::accumulate(shares.begin(), shares.begin() + ranks, std::int64_t{0});
  };
  const std::int64_t all = up_to(static_cast<int>(shares.size()));
  const auto first = static_cast<int>(tokens * up_to(rank) / all);
  return {first, static_cast<int>(tokens * up_to(rank + 1) / all) - first};
}

void deal_counts(std::span<const std::int32_t> loads, int tokens, int topk, std::uint64_t key,
                 std::span<std::uint16_t> out) {
  std::vector<std::uint16_t> experts(loads.size());
  std::iota(experts.begin(), experts.end(), std::uint16_t{0});
  std::vector<std::uint32_t> order(static_cast<std::size_t>(tokens));
  std::iota(order.begin(), order.end(), 0U);
  Random random(key);
  random.shuffle(experts);
  random.shuffle(order);
  // Like cards: experts in a row, each as often as its count, dealt round and round the tokens. A
  // run no longer than the round never reaches a token twice.
  std::size_t card = 0;
  for (const std::uint16_t expert : experts) {
    for (std::int32_t i = 0; i < loads[expert]; ++i, ++card) {
      const std::size_t token = order[card % order.size()];
      out[token * static_cast<std::size_t>(topk) + card / order.size()] = expert;
    }
  }
}

std::vector<std::uint16_t> layer_ids(const Trace& trace, int step, int layer, std::uint64_t seed) {
  const auto k = static_cast<std::size_t>(trace.topk), at = static_cast<std::size_t>(layer);
  const int tokens = trace.tokens_in_step(step);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens) * k);
  if (trace.has_ids()) {
    for (int token = 0; token < tokens; ++token) {
      std::copy_n(&trace.ids(step, token)[at * k], k, &ids[static_cast<std::size_t>(token) * k]);
    }
    return ids;
  }
  const std::uint64_t key =
      fold(fold(fold(mix64(seed), kDealStream), static_cast<std::uint64_t>(step)), at);
  deal_counts(trace.loads(step, layer), tokens, trace.topk, key, ids);
  return ids;
}

std::vector<std::uint16_t> routed_ids(const Trace& trace, int step, std::uint64_t seed,
                                      TokenRange tokens) {
  const auto k = static_cast<std::size_t>(trace.topk);
  const auto layers = static_cast<std::size_t>(trace.layers);
  const auto first = static_cast<std::size_t>(tokens.first);
  const auto count = static_cast<std::size_t>(tokens.count);
  std::vector<std::uint16_t> ids(layers * count * k);
  if (trace.has_ids()) {
    for (std::size_t token = 0; token < count; ++token) {
      const auto from = trace.ids(step, static_cast<int>(first + token));
      for (std::size_t layer = 0; layer < layers; ++layer) {
        std::copy_n(&from[layer * k], k, &ids[(layer * count + token) * k]);
      }
    }
    return ids;
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto dealt = layer_ids(trace, step, static_cast<int>(layer), seed);
    std::copy_n(dealt.begin() + static_cast<std::ptrdiff_t>(first * k), count * k,
                ids.begin() + static_cast<std::ptrdiff_t>(layer * count * k));
  }
  return ids;
}

void count_rows(std::span<const std::uint16_t> ids, std::span<const Location> locations, int layers,
                int ranks, int topk, std::span<std::int64_t> rows) {
  const auto k = static_cast<std::size_t>(topk), width = static_cast<std::size_t>(ranks);
  const std::size_t tokens = ids.size() / (static_cast<std::size_t>(layers) * k);
  const std::size_t experts = locations.size() / static_cast<std::size_t>(layers);
  std::vector<std::size_t> seen(width, 0);  // the last (layer, token) that went there, from 1
  for (std::size_t i = 0; i < ids.size() / k; ++i) {
    const std::size_t layer = i / tokens;
    for (std::size_t j = 0; j < k; ++j) {
      const auto to = static_cast<std::size_t>(locations[layer * experts + ids[i * k + j]].rank);
      if (seen[to] == i + 1) continue;
      seen[to] = i + 1;
      ++rows[layer * width + to];
    }
  }
}

}  // namespace gembench::inline model
