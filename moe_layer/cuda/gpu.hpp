#pragma once

#include <cstddef>
#include <string>

namespace gembench::inline cuda {

/// The GPU of this rank.
struct Gpu {
  int index = 0;  ///< among those this process sees
  std::string name;
  std::string uuid;    ///< "GPU-8-4-4-4-12" as nvidia-smi writes it
  std::string driver;  ///< largest CUDA version the driver knows
  std::string toolkit;
};

/// Takes the GPU of this rank of its node, round and round where there are fewer, and makes it the
/// calling thread's. Environment error, with what was seen, where there is none.
[[nodiscard]] Gpu choose_gpu(int node_rank);

}  // namespace gembench::inline cuda
