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
  std::vector<std::int64_t> histogram;  ///< [rank][slot]: (token, expert) pairs that come there
  std::vector<std::int64_t> sources;    ///< [src]: tokens it begins with
};

/// With ids tokens are dealt to ranks in order, in equal shares, as `run` does. With counts by
/// source, as many sources as ranks, those; with plain counts every rank has its share of every
/// expert's tokens. `split` is of this placement, by the rule `even`. `layer` is an index of both.
/// Usage error where they do not fit, or ranks are too many for a matrix.
[[nodiscard]] PairTraffic pair_traffic(const Trace& trace, const Placement& placement,
                                       const TokenSplit& split, int step, int layer);

/// Which of the three it is, for people.
[[nodiscard]] std::string_view traffic_basis(const Trace& trace, int ranks);

}  // namespace gembench::inline exchange
