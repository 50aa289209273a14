#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline exchange {

/// What ranks send each other in one layer of one step.
struct PairTraffic {
  /// [src][dst]: tokens sent, each once however many of its experts are there. Exact from ids;
  /// expected from counts, as if a token's experts were independent of each other.
  std::vector<double> tokens;
  std::vector<std::int64_t> choices;    ///< [src][dst]: (token, expert) pairs
  std::vector<std::int64_t> histogram;  ///< [rank][slot]: (token, expert) pairs that arrive there
  std::vector<std::int64_t> sources;    ///< [src]: tokens it begins with
};

/// With ids, tokens belong to ranks in order and in equal shares, as in `run`. With counts by
/// source, and as many sources as ranks, the sources are the ranks. With plain counts every rank
/// has an equal share of every expert's tokens. `split` is of this placement, by a rule that
/// needs no speeds.
/// `layer` is an index of both. Usage error if they do not match, or there are too many ranks for a
/// matrix.
[[nodiscard]] PairTraffic pair_traffic(const Trace& trace, const Placement& placement,
                                       const TokenSplit& split, int step, int layer);

/// Which of the three cases applies, as text.
[[nodiscard]] std::string_view traffic_basis(const Trace& trace, int ranks);

}  // namespace gembench::inline exchange
