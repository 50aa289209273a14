// Threads, barriers, warps, shared memory: what a kernel may rely on, and what is found.

#include <numeric>

#include "tests/cuda_simulation/launch_for_tests.hpp"
#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

constexpr unsigned kAll = 0xffffffffU;

class Kernels : public SimulationTest {};
using KernelsDeathTest = Kernels;

__global__ void places_kernel(unsigned* places, unsigned* next) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  places[block * blockDim.x * blockDim.y * blockDim.z + thread] = atomicAdd(next, 1);
}

/// In which place every thread of a 2 x 3 x 2 grid of 4 x 2 x 3 blocks ran.
std::vector<unsigned> places() {
  constexpr std::size_t kThreadsOfAll = 12 * 24;
  Values<unsigned> result(kThreadsOfAll), next(std::vector<unsigned>{0});
  EXPECT_CUDA(
      launch(nullptr, dim3(2, 3, 2), dim3(4, 2, 3), 0, places_kernel, result.get(), next.get()));
  return result.read();
}

TEST_F(Kernels, every_thread_runs_once_in_the_order_that_is_asked_for) {
  set("BLOCKS", "forward");
  const auto forward = places();
  std::vector<unsigned> expected(forward.size());
  std::iota(expected.begin(), expected.end(), 0U);
  EXPECT_EQ(forward, expected);
  set("BLOCKS", "reverse");
  EXPECT_EQ(places(), std::vector<unsigned>(expected.rbegin(), expected.rend()));
  set("BLOCKS", "shuffle:1");
  auto shuffled = places();
  set("BLOCKS", "shuffle:2");
  EXPECT_NE(places(), shuffled);
  set("BLOCKS", "shuffle:1");
  EXPECT_EQ(places(), shuffled);
  EXPECT_NE(shuffled, forward);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, expected);
}

template <class T>
__global__ void sum_kernel(const T* values, T* sums) {
  __shared__ T partial[256];
  partial[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

TEST_F(Kernels, a_block_sums_by_shared_memory_and_barriers_in_every_order) {
  constexpr unsigned kBlocks = 3, kThreads = 256;
  std::vector<int> values(kBlocks * kThreads);
  std::iota(values.begin(), values.end(), 1);
  const Values<int> in(values);
  for (const char* order : {"forward", "reverse", "shuffle:5"}) {
    set("BLOCKS", order);
    const Values<int> sums(kBlocks);
    EXPECT_CUDA(launch(nullptr, kBlocks, kThreads, 0, sum_kernel<int>, in.get(), sums.get()));
    for (unsigned b = 0; b < kBlocks; ++b) {
      const auto begin = values.begin() + b * kThreads;
      EXPECT_EQ(sums.read()[b], std::accumulate(begin, begin + kThreads, 0)) << order;
    }
  }
}

__global__ void rotate_kernel(int* out, bool barrier) {
  GEMBENCH_DYNAMIC_SHARED(int, values);
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (barrier) __syncthreads();
  out[threadIdx.x] =
      values[(threadIdx.x + 1) % blockDim.x] + values[(threadIdx.x + 2) % blockDim.x];
}

TEST_F(Kernels, a_missing_barrier_shows_as_junk) {
  constexpr unsigned kThreads = 64;
  std::vector<int> expected(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) {
    expected[i] = static_cast<int>((i + 1) % kThreads + (i + 2) % kThreads);
  }
  for (const char* order : {"forward", "reverse", "shuffle:5"}) {
    set("BLOCKS", order);
    const Values<int> out(kThreads);
    constexpr std::size_t kBytes = kThreads * sizeof(int);
    EXPECT_CUDA(launch(nullptr, 1, kThreads, kBytes, rotate_kernel, out.get(), true));
    EXPECT_EQ(out.read(), expected) << order;
    EXPECT_CUDA(launch(nullptr, 1, kThreads, kBytes, rotate_kernel, out.get(), false));
    EXPECT_NE(out.read(), expected) << order;
  }
}

/// Sums twice through the same words; without the second barrier a warp that is ahead overwrites
/// what the others have not read.
__global__ void reuse_kernel(int* out, bool barrier) {
  GEMBENCH_DYNAMIC_SHARED(int, of_warp);
  int sum = 0;
  for (int round = 1; round <= 2; ++round) {
    int value = round;
    for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(kAll, value, apart);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += of_warp[w];
    if (barrier) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

TEST_F(Kernels, a_warp_that_runs_ahead_shows_memory_used_again_too_early) {
  constexpr unsigned kThreads = 256;
  const std::vector<int> expected(kThreads, 3 * static_cast<int>(kThreads));
  const Values<int> out(kThreads);
  EXPECT_CUDA(launch(nullptr, 1, kThreads, 32, reuse_kernel, out.get(), true));
  EXPECT_EQ(out.read(), expected);
  EXPECT_CUDA(launch(nullptr, 1, kThreads, 32, reuse_kernel, out.get(), false));
  EXPECT_NE(out.read(), expected);
}

struct Shuffled {
  int indexed, up, down, exclusive, in_eights;
  float real;
  unsigned long long wide;
};

__global__ void shuffle_kernel(Shuffled* out) {
  const int lane = static_cast<int>(threadIdx.x) % warpSize;
  Shuffled& result = out[threadIdx.x];
  result.indexed = __shfl_sync(kAll, lane * 10, (lane + 5) % 32);
  result.up = __shfl_up_sync(kAll, lane, 3);
  result.down = __shfl_down_sync(kAll, lane, 3);
  result.exclusive = __shfl_xor_sync(kAll, lane, 7);
  result.in_eights = __shfl_down_sync(kAll, lane, 3, 8) + 100 * __shfl_sync(kAll, lane, 2, 8) +
                     10000 * __shfl_up_sync(kAll, lane, 3, 8);
  result.real = __shfl_sync(kAll, static_cast<float>(lane) / 2, 31);
  result.wide = __shfl_xor_sync(kAll, 1ULL << (lane + 20), 1);
}

TEST_F(Kernels, shuffles_move_values_between_lanes) {
  const Values<Shuffled> out(64);
  EXPECT_CUDA(launch(nullptr, 1, 64, 0, shuffle_kernel, out.get()));
  const auto results = out.read();
  for (int i = 0; i < 64; ++i) {
    const int lane = i % 32, first = lane / 8 * 8;
    const Shuffled& got = results[static_cast<std::size_t>(i)];
    EXPECT_EQ(got.indexed, (lane + 5) % 32 * 10);
    EXPECT_EQ(got.up, lane < 3 ? lane : lane - 3);
    EXPECT_EQ(got.down, lane > 28 ? lane : lane + 3);
    EXPECT_EQ(got.exclusive, lane ^ 7);
    const int down = lane - first > 4 ? lane : lane + 3, up = lane - first < 3 ? lane : lane - 3;
    EXPECT_EQ(got.in_eights, down + 100 * (first + 2) + 10000 * up);
    EXPECT_EQ(got.real, 15.5F);
    EXPECT_EQ(got.wide, 1ULL << ((lane ^ 1) + 20));
  }
}

/// The two halves of a warp go their own ways; lanes of a last, short warp and lanes that have
/// exited are not waited for.
__global__ void halves_kernel(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  if (lane % 8 == 7) return;
  unsigned votes = 0;
  if (lane < 16) {
    for (int i = 0; i < 3; ++i) votes += __ballot_sync(0x0000ffffU, lane % 2 == 0);
  } else {
    votes = __ballot_sync(0xffff0000U, lane % 2 == 1);
  }
  __syncwarp();
  out[threadIdx.x] = votes;
  out[threadIdx.x] |= __any_sync(kAll, threadIdx.x == 33) ? 1U << 31 : 0;
  out[threadIdx.x] |= __all_sync(kAll, threadIdx.x < 32) ? 1U << 30 : 0;
}

TEST_F(Kernels, masks_votes_exited_lanes_and_short_warps) {
  for (const char* order : {"forward", "reverse", "shuffle:5"}) {
    set("BLOCKS", order);
    const Values<unsigned> out(40);
    EXPECT_CUDA(cudaMemset(out.get(), 0, 40 * sizeof(unsigned)));
    EXPECT_CUDA(launch(nullptr, 1, 40, 0, halves_kernel, out.get()));
    const auto results = out.read();
    for (unsigned i = 0; i < 40; ++i) {
      const unsigned lane = i % 32;
      unsigned expected = lane < 16 ? 3 * 0x5555U : 0x2a2a0000U;
      if (i >= 32) expected = 3 * 0x55U | 1U << 31;
      if (i < 32) expected |= 1U << 30;
      EXPECT_EQ(results[i], lane % 8 == 7 ? 0 : expected) << order << ' ' << i;
    }
  }
}

__global__ void junk_kernel(int* out, int words) {
  GEMBENCH_DYNAMIC_SHARED(int, values);
  int written = 0;
  for (int i = 0; i < words; ++i) {
    if (values[i] != static_cast<int>(0xCDCDCDCDU)) ++written;
    values[i] = i;
  }
  out[blockIdx.x] = written;
}

TEST_F(Kernels, dynamic_shared_memory_is_as_large_as_asked_for_and_new_for_every_block) {
  const Values<int> out(4);
  constexpr int kFew = 1000, kMany = 40000;
  EXPECT_CUDA(launch(nullptr, 4, 1, kFew * sizeof(int), junk_kernel, out.get(), kFew));
  EXPECT_EQ(out.read(), std::vector<int>(4, 0));
  constexpr std::size_t kBytes = kMany * sizeof(int);
  EXPECT_EQ(launch(nullptr, 4, 1, kBytes, junk_kernel, out.get(), kMany), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_CUDA(cudaFuncSetAttribute(junk_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(kBytes)));
  EXPECT_CUDA(launch(nullptr, 4, 1, kBytes, junk_kernel, out.get(), kMany));
  EXPECT_EQ(out.read(), std::vector<int>(4, 0));
  EXPECT_EQ(cudaFuncSetAttribute(junk_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 300000),
            cudaErrorInvalidValue);
}

struct Totals {
  int sum, largest;
  unsigned count;
  float real;
  unsigned long long wide, chained;
};

__global__ void atomics_kernel(Totals* totals) {
  const int i = static_cast<int>(threadIdx.x);
  atomicAdd(&totals->sum, -i);
  atomicAdd(&totals->count, 1);
  atomicAdd(&totals->real, 0.5F);
  atomicAdd(&totals->wide, 1ULL << 33);
  atomicMax(&totals->largest, i);
  unsigned long long seen = 0, before = totals->chained;
  do {
    seen = before;
    before = atomicCAS(&totals->chained, seen, seen * 2 + 1);
  } while (before != seen);
}

TEST_F(Kernels, atomics_reach_the_same_totals) {
  const Values<Totals> totals(std::vector<Totals>{{0, -5, 0, 0, 0, 0}});
  EXPECT_CUDA(launch(nullptr, 1, 40, 0, atomics_kernel, totals.get()));
  const Totals got = totals.read()[0];
  EXPECT_EQ(got.sum, -780);
  EXPECT_EQ(got.count, 40U);
  EXPECT_EQ(got.real, 20.0F);
  EXPECT_EQ(got.wide, 40ULL << 33);
  EXPECT_EQ(got.largest, 39);
  EXPECT_EQ(got.chained, (1ULL << 40) - 1);
}

__global__ void functions_kernel(float* out, const float* in) {
  out[0] = rsqrtf(__ldg(in));
  out[1] = __expf(1.0F);
  out[2] = __fdividef(3.0F, 4.0F);
  out[3] = static_cast<float>(__popc(0xff00ffU) + __ffs(8));
  const long long begin = clock64();
  __nanosleep(2000);
  out[4] = static_cast<float>(clock64() - begin);
  const unsigned long long time = GEMBENCH_GLOBAL_TIMER();
  while (GEMBENCH_GLOBAL_TIMER() - time < 1000) {
  }
  out[5] = static_cast<float>(GEMBENCH_GLOBAL_TIMER() - time);
}

TEST_F(Kernels, device_functions) {
  const Values<float> out(6), in(std::vector<float>{16});
  EXPECT_CUDA(launch(nullptr, 1, 1, 0, functions_kernel, out.get(), in.get()));
  const auto results = out.read();
  EXPECT_EQ(results[0], 0.25F);
  EXPECT_NEAR(results[1], 2.7182818F, 1e-6F);
  EXPECT_EQ(results[2], 0.75F);
  EXPECT_EQ(results[3], 20.0F);
  EXPECT_GE(results[4], 2000.0F);
  EXPECT_GE(results[5], 1000.0F);
}

struct Argument {
  int values[20];
};

__global__ void argument_kernel(Argument argument, int* out, short converted) {
  out[0] = argument.values[19] + converted;
}

TEST_F(Kernels, arguments_are_copied_and_converted_at_the_launch) {
  const Values<int> out(1);
  Argument argument{};
  argument.values[19] = 40;
  const TestStream s;
  EXPECT_CUDA(launch(s.stream, 1, 1, 0, argument_kernel, argument, out.get(), short{2}));
  argument.values[19] = 0;
  EXPECT_CUDA(cudaStreamSynchronize(s.stream));
  EXPECT_EQ(out.read()[0], 42);
}

__global__ void empty_kernel() {}

TEST_F(Kernels, launches_that_no_gpu_takes_are_refused) {
  EXPECT_EQ(launch(nullptr, 1, 1025, 0, empty_kernel), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(nullptr, 0, 32, 0, empty_kernel), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(nullptr, dim3(1, 70000), 32, 0, empty_kernel), cudaErrorInvalidConfiguration);
  cudaLaunchConfig_t config{};
  config.gridDim = config.blockDim = dim3(1);
  EXPECT_EQ(cudaLaunchKernelExC(&config, &config, nullptr), cudaErrorInvalidDeviceFunction);
  EXPECT_EQ(counters().launches, 0);
}

TEST_F(Kernels, as_many_blocks_fit_a_multiprocessor_as_threads_and_shared_memory_allow) {
  const auto blocks = [](int threads, std::size_t shared) {
    int fit = -1;
    EXPECT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, empty_kernel, threads, shared));
    return fit;
  };
  EXPECT_EQ(blocks(1024, 0), 2);
  EXPECT_EQ(blocks(32, 0), 32);
  EXPECT_EQ(blocks(256, 100 << 10), 2);
  EXPECT_EQ(blocks(2048, 0), 0);
}

__global__ void half_barrier_kernel() {
  if (threadIdx.x < 16) __syncthreads();
  if (threadIdx.x >= 16) __syncwarp(0xffffffffU);
}
__global__ void two_barriers_kernel() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void early_exit_kernel() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}
__global__ void lone_shuffle_kernel() {
  if (threadIdx.x == 3) __shfl_sync(kAll, 1, 0);
  __syncthreads();
}
__global__ void own_lane_kernel() {
  __syncwarp(~(1U << 4));
}
__global__ void two_masks_kernel() {
  __syncwarp(threadIdx.x % 32 < 16 ? kAll : 0xffff0001U);
}
__global__ void mixed_kernel() {
  if (threadIdx.x < 16) {
    __shfl_sync(kAll, 1, 0);
  } else {
    __ballot_sync(kAll, 1);
  }
}

void run(void (*kernel)()) {
  launch(nullptr, 1, 64, 0, kernel);
  cudaDeviceSynchronize();
}

TEST_F(KernelsDeathTest, blocks_that_cannot_finish_are_named_with_the_line) {
  EXPECT_DEATH(run(half_barrier_kernel), "wait for each other(.|\n)*kernel_test.cu:[0-9]+");
  EXPECT_DEATH(run(two_barriers_kernel), "different __syncthreads, .*kernel_test.cu:[0-9]+ and");
  EXPECT_DEATH(run(early_exit_kernel), "63 of 64 threads are at __syncthreads, 1 have exited");
  EXPECT_DEATH(run(lone_shuffle_kernel), "wait for each other");
  EXPECT_DEATH(run(two_masks_kernel), "in a warp collective, .*kernel_test.cu:[0-9]+");
  EXPECT_DEATH(run(own_lane_kernel), "lane 4 is not in the mask");
  EXPECT_DEATH(run(mixed_kernel), "different collectives, .*kernel_test.cu:[0-9]+ and");
}

__global__ void write_kernel(char* to, std::size_t at) {
  GEMBENCH_DYNAMIC_SHARED(char, shared);
  (to != nullptr ? to : shared)[at] = 1;
}

TEST_F(KernelsDeathTest, writes_past_the_end_are_found) {
  const auto write = [](char* to, std::size_t shared, std::size_t at) {
    launch(nullptr, 1, 1, shared, write_kernel, to, at);
    cudaDeviceSynchronize();
  };
  constexpr std::size_t kBytes = 100;
  const Values<char> memory(kBytes);
  EXPECT_DEATH(write(memory.get(), 0, kBytes), "past the end of 100 bytes|AddressSanitizer");
  EXPECT_DEATH(write(nullptr, kBytes, kBytes), "its dynamic shared memory|AddressSanitizer");
  write(memory.get(), 0, kBytes - 1);
  write(nullptr, kBytes, kBytes - 1);
}

}  // namespace
}  // namespace gembench::simulation
