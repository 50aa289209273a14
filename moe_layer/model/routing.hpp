#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline model {

/// Tokens of a step that one rank owns: contiguous; with a remainder, the first ranks have one
/// more.
struct TokenRange {
  int first = 0;
  int count = 0;
};
[[nodiscard]] TokenRange local_tokens(int tokens, int rank, int ranks);
/// Split in proportion to `shares` ([rank], not all 0), exactly so when they sum to `tokens`.
[[nodiscard]] TokenRange local_tokens(int tokens, int rank, std::span<const int> shares);

/// Assigns counts to tokens exactly: every token gets k distinct experts, every expert its count.
/// Experts and tokens are shuffled by `key`, so that the combinations of experts have no order.
/// `out` is [token][k]. Needs sum(loads) = tokens * k and no load above tokens (validate(Trace)).
void deal_counts(std::span<const std::int32_t> loads, int tokens, int topk, std::uint64_t key,
                 std::span<std::uint16_t> out);

/// Every token's experts of one layer of a step: [token][k]. Replays ids if the trace has them,
/// else assigns its counts; a pure function of (trace, seed, step, layer).
[[nodiscard]] std::vector<std::uint16_t> layer_ids(const Trace& trace, int step, int layer,
                                                   std::uint64_t seed);

/// Every token's experts of one step, for the tokens of one rank: [layer][token][k], as
/// layer_ids() has them.
[[nodiscard]] std::vector<std::uint16_t> routed_ids(const Trace& trace, int step,
                                                    std::uint64_t seed, TokenRange tokens);

/// Adds the rows that a rank sends for these tokens under a placement: one to every rank that has
/// an expert of the token. `ids` is [layer][token][k], `rows` is [layer][destination].
void count_rows(std::span<const std::uint16_t> ids, std::span<const Location> locations, int layers,
                int ranks, int topk, std::span<std::int64_t> rows);

/// Most rows and pairs that a rank can receive in one layer.
struct ReceiveLimits {
  std::int64_t rows = 0;
  std::int64_t pairs = 0;
};

}  // namespace gembench::inline model
