#pragma once

#include <cstdint>

namespace gembench::inline loads {

/// What every synthetic trace needs to know.
struct SyntheticSpec {
  int steps = 0;
  int layers = 0;
  int experts = 0;
  int topk = 0;
  int tokens = 0;  ///< per step
  std::uint64_t seed = 0;
};

}  // namespace gembench::inline loads
