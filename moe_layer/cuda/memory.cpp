#include "moe_layer/cuda/memory.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "placement/base/error.hpp"

namespace gembench::inline cuda {
namespace {

double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / 0x1p20;
}

[[noreturn]] void out_of_memory(const char* kind, std::size_t bytes, Whereabouts& at) {
  static_cast<void>(cudaGetLastError());  // it is reported now, and not again by the next call
  std::size_t left = 0, total = 0;
  static_cast<void>(cudaMemGetInfo(&left, &total));
  throw Error(ExitCode::environment,
              fmt::format("GPU {} of rank {}: cannot allocate {:.1f} MiB of {} memory, {:.1f} of "
                          "{:.1f} MiB on the GPU are free: use fewer --tokens or "
                          "--layers, --weight-layers, or a larger --scale",
                          at.gpu, at.rank, mib(bytes), kind, mib(left), mib(total)));
}

}  // namespace

Buffer device_memory(std::size_t bytes, Whereabouts& at) {
  void* memory = nullptr;
  const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (result == cudaErrorMemoryAllocation) out_of_memory("device", bytes, at);
  check(result, "cudaMalloc", at);
  return {memory, bytes, [](void* freed) { static_cast<void>(cudaFree(freed)); }};
}

Buffer pinned_memory(std::size_t bytes, Whereabouts& at) {
  void* memory = nullptr;
  const cudaError_t result = cudaMallocHost(&memory, std::max<std::size_t>(bytes, 1));
  if (result == cudaErrorMemoryAllocation) out_of_memory("pinned host", bytes, at);
  check(result, "cudaMallocHost", at);
  return {memory, bytes, [](void* freed) { static_cast<void>(cudaFreeHost(freed)); }};
}

}  // namespace gembench::inline cuda
