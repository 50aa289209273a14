// The launches of moe_layer/cuda's host functions, told to someone else instead of being executed:
// with the kernels' sources, compiled as C++, a library that host.py loads.
#include <cuda_runtime.h>

#include <cstddef>

#include "tests/cuda_simulation/block.hpp"
#include "tests/cuda_simulation/clock.hpp"

namespace {

/// Sizes are those of grid and block; the arguments are valid during the call.
using Launched = void (*)(const void* kernel, const unsigned* sizes, std::size_t shared_bytes,
                          void** arguments);
using Filled = void (*)(void* to, int value, std::size_t bytes);
Launched launched = nullptr;
Filled filled = nullptr;

}  // namespace

extern "C" void gembench_record(Launched on_launch, Filled on_fill) {
  launched = on_launch;
  filled = on_fill;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel,
                                void** arguments) {
  const dim3 grid = config->gridDim, block = config->blockDim;
  const unsigned sizes[] = {grid.x, grid.y, grid.z, block.x, block.y, block.z};
  launched(kernel, sizes, config->dynamicSmemBytes, arguments);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t /*stream*/) {
  filled(to, value, bytes);
  return cudaSuccess;
}

void gembench::simulation::register_kernel(const void* /*kernel*/, Bind /*bind*/) {}
// Named by kernels that do not run here.
std::uint64_t gembench::simulation::read_clock() {
  return 0;
}
