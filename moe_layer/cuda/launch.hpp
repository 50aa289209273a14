#pragma once

#include <cuda_runtime.h>

/// For kernel sources only: how kernels are launched, and what differs between nvcc and the tests'
/// simulation (which defines the macro itself).
#ifndef GEMBENCH_GLOBAL_TIMER
#define GEMBENCH_GLOBAL_TIMER() ::gembench::cuda::global_timer()
namespace gembench::inline cuda {
/// Nanoseconds of the GPU's own clock.
__device__ inline unsigned long long global_timer() {
  unsigned long long now = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
}  // namespace gembench::inline cuda
#endif

namespace gembench::inline cuda {

/// Enqueues a kernel; nothing when there are no blocks.
template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, std::size_t blocks, unsigned threads, void (*kernel)(P...),
                   A... arguments) {
  if (blocks == 0) return cudaSuccess;
  // Grid, block, dynamic shared memory, stream, no attributes.
  const cudaLaunchConfig_t config{
      dim3(static_cast<unsigned>(blocks)), dim3(threads), 0, stream, nullptr, 0};
  return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

/// Values that a thread moves at once: W neighbours of type T.
template <class T, int W>
struct alignas(W * sizeof(T)) Pack {
  T value[W];
};

}  // namespace gembench::inline cuda
