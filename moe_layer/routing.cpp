#include "moe_layer/routing.hpp"

#include <algorithm>
#include <numeric>

#include "placement/random.hpp"

namespace gembench {
namespace {

constexpr std::uint64_t kDealStream = 0x6465616c;  // keeps dealing apart from weights and inputs

}  // namespace

TokenRange local_tokens(int tokens, int rank, int ranks) {
  const int each = tokens / ranks;
  const int more = tokens % ranks;
  return {rank * each + std::min(rank, more), each + (rank < more ? 1 : 0)};
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
  const int all = trace.tokens_in_step(step);
  std::vector<std::uint16_t> dealt(static_cast<std::size_t>(all) * k);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::uint64_t key =
        fold(fold(fold(mix64(seed), kDealStream), static_cast<std::uint64_t>(step)), layer);
    deal_counts(trace.loads(step, static_cast<int>(layer)), all, trace.topk, key, dealt);
    std::copy_n(dealt.begin() + static_cast<std::ptrdiff_t>(first * k), count * k,
                ids.begin() + static_cast<std::ptrdiff_t>(layer * count * k));
  }
  return ids;
}

ReceiveLimits receive_limits(std::span<const std::int64_t> rank_loads, const Trace& trace) {
  ReceiveLimits limits;
  limits.pairs = rank_loads.empty() ? 0 : *std::max_element(rank_loads.begin(), rank_loads.end());
  limits.rows = std::min<std::int64_t>(limits.pairs, trace.max_tokens_in_step());
  return limits;
}

}  // namespace gembench
