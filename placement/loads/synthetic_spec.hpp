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
};

}  // namespace gembench::inline loads
