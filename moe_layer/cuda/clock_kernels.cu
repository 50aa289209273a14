#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/launch.hpp"

namespace gembench::inline cuda {
namespace {

// On one thread.
__global__ void read_clock_kernel(unsigned long long* readings, int count) {
  unsigned long long last = GEMBENCH_GLOBAL_TIMER();
  for (int i = 0; i < count; ++i) {
    unsigned long long now = last;
    while (now == last) now = GEMBENCH_GLOBAL_TIMER();
    readings[i] = last = now;
  }
}

}  // namespace

cudaError_t read_clock(cudaStream_t stream, unsigned long long* readings, int count) {
  return launch(stream, 1, 1, read_clock_kernel, readings, count);
}

}  // namespace gembench::inline cuda
