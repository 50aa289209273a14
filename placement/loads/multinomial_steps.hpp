#pragma once

#include <cstdint>
#include <vector>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// Sums per layer and expert over a run, which may exceed the 32 bits of a trace's counts.
struct RunTotals {
  RunTotals() = default;
  /// Those of a trace of one step.
  RunTotals(const Trace& one_step)
      : shape(one_step), counts(one_step.tokens.begin(), one_step.tokens.end()) {
    shape.tokens.clear();
  }

  Trace shape;                       ///< of one step, without arrays other than its layer ids
  std::vector<std::int64_t> counts;  ///< [layer][expert]; layers may sum differently
};

/// Shape of a trace drawn from run totals.
struct ExpansionSpec {
  int steps = 0;
  int tokens = 0;  ///< per step
  std::uint64_t seed = 0;
};

/// Steps drawn from run totals: a recorder's sums per (layer, expert) say nothing about time, so
/// every step is an independent multinomial draw of tokens * topk from each layer's shares, with no
/// expert above `tokens`. Loads of a real run vary more; `source` says that the steps were drawn.
/// Usage error for totals of an impossible shape, for a layer without tokens and for an expert with
/// more than 1/topk of them.
[[nodiscard]] Trace expand_multinomial(const RunTotals& totals, const ExpansionSpec& spec);

}  // namespace gembench::inline loads
