// Reading the GPU's own timer.
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/launch.hpp"

namespace gembench::inline cuda {
namespace {

__global__ void stamp_kernel(unsigned long long* stamp) {
  *stamp = GEMBENCH_GLOBAL_TIMER();
}

__global__ void spin_since_kernel(const unsigned long long* stamp, double factor) {
  const unsigned long long begin = *stamp;
  const double passed = static_cast<double>(GEMBENCH_GLOBAL_TIMER() - begin);
  const auto whole = static_cast<unsigned long long>(passed * factor);
  while (GEMBENCH_GLOBAL_TIMER() - begin < whole) {
  }
}

/// Ends also where the timer stands still.
__global__ void step_kernel(unsigned long long* least) {
  constexpr int kReads = 1 << 20, kSteps = 16;
  unsigned long long found = 0, last = GEMBENCH_GLOBAL_TIMER();
  int steps = 0;
  for (int read = 0; read < kReads && steps < kSteps; ++read) {
    const unsigned long long now = GEMBENCH_GLOBAL_TIMER();
    if (now == last) continue;
    if (++steps > 1 && (found == 0 || now - last < found)) found = now - last;  // the first: partly
    last = now;
  }
  *least = found;
}

}  // namespace

cudaError_t write_stamp(cudaStream_t stream, Stamp stamp) {
  return launch(stream, 1, 1, stamp_kernel, stamp);
}

cudaError_t spin_since(cudaStream_t stream, const unsigned long long* stamp, double factor) {
  return launch(stream, 1, 1, spin_since_kernel, stamp, factor);
}

cudaError_t timer_step(cudaStream_t stream, unsigned long long* step) {
  return launch(stream, 1, 1, step_kernel, step);
}

}  // namespace gembench::inline cuda
