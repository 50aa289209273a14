#pragma once

#include <cstdint>
#include <string_view>

#include "placement/trace.hpp"

namespace gembench {

/// What every synthetic trace needs to know.
struct SyntheticSpec {
  int steps = 0;
  int layers = 0;
  int experts = 0;
  int topk = 0;
  int tokens = 0;  ///< per step
  std::uint64_t seed = 0;
};

/// Synthetic expert loads. Presets:
///  `serving`  lognormal popularity, 15-25 % temporal experts in groups of 2-4 that switch on and
///             off together (duty 0.17, x3 when on), the others active in 85 % of the steps; who is
///             off gets no tokens; after the figures second-hand from GEM (arXiv:2605.19945). The
///             generator itself is ours.
///  `even`     every expert the same count up to one token, for tests and calibration.
/// Counts only (no ids), at most one per token and expert, sum = tokens * topk in every layer.
/// A pure function of the preset and the spec, identical on every machine.
/// Throws a usage error for an unknown preset or an impossible spec (top-k > experts, ..).
[[nodiscard]] Trace make_trace(std::string_view preset, const SyntheticSpec& spec);

}  // namespace gembench
