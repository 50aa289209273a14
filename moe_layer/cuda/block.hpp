#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "moe_layer/cuda/launch.hpp"

/// Stamps, and sums over the threads of a block, for kernel sources. Blocks are whole warps.
namespace gembench::inline cuda {

constexpr unsigned kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffU;

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
__device__ inline void store(float value, float& to) {
  to = value;
}
__device__ inline void store(float value, __nv_bfloat16& to) {
  to = __float2bfloat16(value);
}

/// The time at which a launch begins, by its first block; null = nobody asks.
__device__ inline void write_begin(unsigned long long* stamp) {
  if (stamp != nullptr && blockIdx.x == 0 && threadIdx.x == 0) *stamp = GEMBENCH_GLOBAL_TIMER();
}

/// The sum over all lanes, in every lane, in an order that depends on nothing but the lanes.
__device__ inline float warp_sum(float value) {
  for (unsigned apart = kWarp / 2; apart > 0; apart /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, static_cast<int>(apart));
  }
  return value;
}

/// The source of a received pair: the last one whose pairs start no later. `pair_at`: [source].
__device__ inline int source_of(const std::int32_t* pair_at, int sources, int pair) {
  int low = 0, high = sources - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (pair_at[middle] <= pair) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/// The sum over the threads before this one; `all` is the sum over the block.
__device__ inline int sum_before(int value, int& all) {
  __shared__ int of_warp[kWarp];
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int upto = value;
  for (unsigned apart = 1; apart < kWarp; apart *= 2) {
    const int before = __shfl_up_sync(kAllLanes, upto, apart);
    if (lane >= apart) upto += before;
  }
  if (lane == kWarp - 1) of_warp[warp] = upto;
  __syncthreads();
  int before = 0;
  all = 0;
  for (unsigned w = 0; w < blockDim.x / kWarp; ++w) {
    if (w < warp) before += of_warp[w];
    all += of_warp[w];
  }
  __syncthreads();  // of_warp is used again by the next call
  return before + upto - value;
}

}  // namespace gembench::inline cuda
