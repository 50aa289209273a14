#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/trace.hpp"

namespace gembench {

/// Tokens of a step that one rank owns: contiguous, the first ranks one more where it does not
/// divide.
struct TokenRange {
  int first = 0;
  int count = 0;
};
[[nodiscard]] TokenRange local_tokens(int tokens, int rank, int ranks);

/// Deals counts to tokens exactly: every token gets k distinct experts, every expert its count.
/// Experts and tokens are shuffled by `key`, so that which experts meet in a token has no order.
/// `out` is [token][k]. Needs sum(loads) = tokens * k and no load above tokens (validate(Trace)).
void deal_counts(std::span<const std::int32_t> loads, int tokens, int topk, std::uint64_t key,
                 std::span<std::uint16_t> out);

/// Every token's experts of one step, for the tokens of one rank: [layer][token][k]. Replays ids
/// where the trace has them, else deals its counts; a pure function of (trace, seed, step).
[[nodiscard]] std::vector<std::uint16_t> routed_ids(const Trace& trace, int step,
                                                    std::uint64_t seed, TokenRange tokens);

/// Most rows and pairs that any rank receives in one layer under a placement, over all steps and
/// layers of the trace: a bound on rows (tokens seen once, whatever their experts) and the exact
/// number of pairs.
struct ReceiveLimits {
  std::int64_t rows = 0;
  std::int64_t pairs = 0;
};
[[nodiscard]] ReceiveLimits receive_limits(std::span<const std::int64_t> rank_loads,
                                           const Trace& trace);

}  // namespace gembench
