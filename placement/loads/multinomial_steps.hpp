#pragma once

#include <cstdint>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// Shape of a trace drawn from run totals.
struct ExpansionSpec {
  int steps = 0;
  int tokens = 0;  ///< per step
  std::uint64_t seed = 0;
};

/// Steps drawn from run totals: a recorder's sums per (layer, expert) say nothing about time, so
/// every step is an independent multinomial draw of tokens * topk from each layer's shares, with no
/// expert above `tokens`. Loads of a real run vary more; `source` says that the steps were drawn.
/// `totals` is a trace of one step; its layers need not sum to the same number. Usage error for
/// anything else, for a layer without tokens and for an expert with more than 1/topk of them.
[[nodiscard]] Trace expand_multinomial(const Trace& totals, const ExpansionSpec& spec);

}  // namespace gembench::inline loads
