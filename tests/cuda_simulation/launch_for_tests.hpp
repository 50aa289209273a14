#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace gembench::simulation {

/// How a product's helper launches.
template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, dim3 blocks, dim3 threads, std::size_t shared,
                   void (*kernel)(P...), A&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, std::forward<A>(arguments)...);
}

}  // namespace gembench::simulation
