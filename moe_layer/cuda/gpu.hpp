#pragma once

#include <cstddef>
#include <string>

namespace gembench::inline cuda {

/// The GPU of this rank.
struct Gpu {
  int index = 0;  ///< among those this process sees
  std::string name;
  std::string uuid;    ///< "GPU-8-4-4-4-12" as nvidia-smi writes it
  std::string pci;     ///< "0000:3B:00.0"
  std::string driver;  ///< largest CUDA version the driver knows
  std::string toolkit;
};

/// Selects this rank's GPU by its local rank, cyclically if there are fewer GPUs, and makes it the
/// calling thread's. Environment error, with what was found, if there is none.
[[nodiscard]] Gpu choose_gpu(int node_rank);

}  // namespace gembench::inline cuda
