// First in every CUDA source that is compiled for the CPU: what the toolkit's headers leave to
// nvcc. Deadlocks of a block, wrong masks and the like end the process with a message.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <device_launch_parameters.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/cuda_simulation/block.hpp"

#define __launch_bounds__(...)
#undef __shared__
#define __shared__ static GEMBENCH_OF_BLOCK
#if defined(GEMBENCH_BLOCKS_ON_THREADS)
#define threadIdx (::gembench::simulation::thread_index)
#define blockIdx (::gembench::simulation::block_index)
#endif
#define GEMBENCH_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(::gembench::simulation::dynamic_shared)
#define GEMBENCH_GLOBAL_TIMER() gembench_simulated_timer()
#define cudaLaunchKernelEx gembench_simulated_launch

namespace gembench::simulation {

template <class... P>
std::function<void()> bind_arguments(const void* kernel, void** arguments) {
  auto* function = reinterpret_cast<void (*)(P...)>(const_cast<void*>(kernel));
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    std::tuple<std::remove_cv_t<P>...> copies(*static_cast<std::remove_cv_t<P>*>(arguments[I])...);
    return std::function<void()>([function, copies] { std::apply(function, copies); });
  }
  (std::index_sequence_for<P...>());
}

/// A value of up to 8 bytes as it lies in a lane's register.
template <class T>
std::uint64_t to_bits(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <class T>
T shuffle(unsigned mask, T value, int source, Place where) {
  const std::uint64_t bits = warp_collective(Collective::shuffle, mask, to_bits(value),
                                             static_cast<unsigned>(source) % kWarp, where);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace gembench::simulation

using GembenchPlace = gembench::simulation::Place;

template <class... P, class... A>
cudaError_t gembench_simulated_launch(const cudaLaunchConfig_t* config, void (*kernel)(P...),
                                      A&&... arguments) {
  const auto* address = reinterpret_cast<const void*>(kernel);
  gembench::simulation::register_kernel(address, gembench::simulation::bind_arguments<P...>);
  return [&](P... converted) {
    void* pointers[] = {const_cast<std::remove_cv_t<P>*>(&converted)..., nullptr};
    return cudaLaunchKernelExC(config, address, pointers);
  }(std::forward<A>(arguments)...);
}
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*kernel)(P...),
                                                          int threads, std::size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      blocks, reinterpret_cast<const void*>(kernel), threads, shared_bytes);
}

inline void __syncthreads(GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  gembench::simulation::block_barrier(where);
}
inline void __syncwarp(unsigned mask = ~0U,
                       GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  gembench::simulation::warp_collective(gembench::simulation::Collective::sync, mask, 0, 0, where);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  const int lane = static_cast<int>(gembench::simulation::lane_of_running_thread());
  return gembench::simulation::shuffle(mask, value, lane / width * width + (source & (width - 1)),
                                       where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  const int lane = static_cast<int>(gembench::simulation::lane_of_running_thread());
  const int source = lane - static_cast<int>(delta);
  return gembench::simulation::shuffle(mask, value, source < lane / width * width ? lane : source,
                                       where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  const int lane = static_cast<int>(gembench::simulation::lane_of_running_thread());
  const int source = lane + static_cast<int>(delta);
  return gembench::simulation::shuffle(mask, value,
                                       source >= (lane / width + 1) * width ? lane : source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  const int lane = static_cast<int>(gembench::simulation::lane_of_running_thread());
  const int source = lane ^ lanes;
  return gembench::simulation::shuffle(mask, value,
                                       source >= (lane / width + 1) * width ? lane : source, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  return static_cast<unsigned>(gembench::simulation::warp_collective(
      gembench::simulation::Collective::vote, mask, predicate != 0, 0, where));
}
inline int __any_sync(unsigned mask, int predicate,
                      GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      GembenchPlace where = {__builtin_FILE(), __builtin_LINE()}) {
  return __ballot_sync(mask, predicate == 0, where) == 0;
}

#include "tests/cuda_simulation/simulated_intrinsics.hpp"
