#pragma once

#include <cstdint>

namespace gembench::inline loads {

/// The shape of a synthetic trace.
struct SyntheticSpec {
  int steps = 0;
  int layers = 0;
  int experts = 0;
  int topk = 0;
  int tokens = 0;  ///< per step
  std::uint64_t seed = 0;
  /// For presets that speak of ranks: rank r holds the r-th block of successive experts, as
  /// `linear` places them. 0 = not known.
  int ranks = 0;
};

}  // namespace gembench::inline loads
