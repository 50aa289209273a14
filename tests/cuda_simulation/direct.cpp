// The least of a runtime, in place of runtime.cpp: what is launched runs at once, on memory of the
// host. For tests of kernels alone.
#include <cuda_runtime.h>

#include <chrono>
#include <cstring>
#include <map>

#include "tests/cuda_simulation/block.hpp"
#include "tests/cuda_simulation/clock.hpp"

namespace gembench::simulation {
namespace {

std::map<const void*, Bind> kernels;

}  // namespace

void register_kernel(const void* kernel, Bind bind) {
  kernels[kernel] = bind;
}

std::uint64_t read_clock() {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(since_start).count());
}

}  // namespace gembench::simulation

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel,
                                void** arguments) {
  using namespace gembench::simulation;
  run_grid({config->gridDim, config->blockDim, config->dynamicSmemBytes,
            kernels.at(kernel)(kernel, arguments), "kernel"});
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t /*stream*/) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}
