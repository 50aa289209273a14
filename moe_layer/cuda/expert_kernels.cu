// What surrounds the experts' matrix products, the way back, and the emulated slowdown.
#include "moe_layer/cuda/block.hpp"
#include "moe_layer/cuda/kernels.hpp"

namespace gembench::inline cuda {
namespace {

constexpr unsigned kThreads = 256;
// Enough to fill any GPU; the blocks then loop over the rest.
constexpr std::size_t kMostBlocks = 4096;

/// A warp a row, turn by turn. A thread has several loads under way, which a single one would leave
/// waiting for memory; without __restrict__ every store would end that.
template <class T>
__global__ void copy_kernel(std::size_t width, const std::int32_t* count, const std::int32_t* index,
                            const T* __restrict__ from, T* __restrict__ to) {
  constexpr unsigned kHeld = 4;
  const unsigned warps = gridDim.x * blockDim.x / kWarp;
  const unsigned rows = static_cast<unsigned>(*count);
  for (unsigned row = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp; row < rows; row += warps) {
    const T* source = from + static_cast<std::size_t>(index[row]) * width;
    T* target = to + row * width;
    std::size_t i = threadIdx.x % kWarp;
    for (; i + (kHeld - 1) * kWarp < width; i += kHeld * kWarp) {
      T held[kHeld];
#pragma unroll
      for (unsigned n = 0; n < kHeld; ++n) held[n] = source[i + n * kWarp];
#pragma unroll
      for (unsigned n = 0; n < kHeld; ++n) target[i + n * kWarp] = held[n];
    }
    for (; i < width; i += kWarp) target[i] = source[i];
  }
}

/// A block a chunk. The counts must be 0.
__global__ void slot_kernel(Sorting s, int chunks) {
  write_begin(s.stamp);
  const int chunk = static_cast<int>(blockIdx.x);
  const int p = chunk * kChunk + static_cast<int>(threadIdx.x);
  if (p < s.pairs) atomicAdd(&s.chunk_pairs[s.pair[p].slot * chunks + chunk], 1);
}

/// One block per slot and chunk, which places its pairs in order after those of the previous
/// chunks.
__global__ void sort_kernel(Sorting s, int chunks) {
  const int block = static_cast<int>(blockIdx.x);
  const int slot = block / chunks, chunk = block % chunks;
  const std::int32_t* of_slot = s.chunk_pairs + slot * chunks;
  if (of_slot[chunk] == 0 && chunk < chunks - 1) return;
  int before = 0, begin = 0, all = 0;
  for (int c = static_cast<int>(threadIdx.x); c < chunk; c += kChunk) before += of_slot[c];
  sum_before(before, begin);
  const int p = chunk * kChunk + static_cast<int>(threadIdx.x);
  const bool mine = p < s.pairs && s.pair[p].slot == slot;
  const int position = s.slot_at[slot] + begin + sum_before(mine ? 1 : 0, all);
  if (mine) {
    const int source = source_of(s.pair_at, s.ranks, p);
    const int row = s.row_at[source] + s.pair[p].row;
    s.sorted_row[position] = row;
    s.position[p] = position;
    if (p == s.pair_at[source] || s.pair[p - 1].row != s.pair[p].row) s.first_pair[row] = p;
  }
  if (chunk == chunks - 1 && threadIdx.x == 0) s.slot_tokens[slot] = begin + all;
}

template <class T, int W>
__global__ void swiglu_kernel(std::size_t rows, std::size_t packs, const Pack<T, W>* both,
                              Pack<T, W>* inner) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * packs;
       i += step) {
    const std::size_t row = i / packs, pack = i % packs;
    const Pack<T, W> gate = both[2 * row * packs + pack];
    const Pack<T, W> up = both[(2 * row + 1) * packs + pack];
    Pack<T, W> product;
    for (int w = 0; w < W; ++w) {
      const float g = to_float(gate.value[w]);
      store(g / (1 + expf(-g)) * to_float(up.value[w]), product.value[w]);
    }
    inner[i] = product;
  }
}

/// So many neighbouring blocks a row.
template <class T>
__global__ void plain_kernel(PlainProduct p, unsigned blocks_a_row) {
  const std::size_t row = blockIdx.x / blocks_a_row;
  const int column = static_cast<int>(blockIdx.x % blocks_a_row * blockDim.x + threadIdx.x);
  if (column >= p.n) return;
  const std::size_t n = static_cast<std::size_t>(p.n), k = static_cast<std::size_t>(p.k);
  const T* a = static_cast<const T*>(p.a) + row * k;
  const T* b = static_cast<const T*>(p.b[p.matrix[row]]) + column;
  float sum = 0;
  for (std::size_t i = 0; i < k; ++i) sum += to_float(a[i]) * to_float(b[i * n]);
  store(sum, static_cast<T*>(p.c)[row * n + static_cast<std::size_t>(column)]);
}

/// A block a row.
template <class T, int W>
__global__ void weigh_kernel(Weighing w, int packs) {
  const int row = static_cast<int>(blockIdx.x);
  const int begin = w.first_pair[row];
  const int end = row + 1 < w.rows ? w.first_pair[row + 1] : w.pairs;
  const auto* outputs = static_cast<const Pack<T, W>*>(w.outputs);
  auto* sums = static_cast<Pack<T, W>*>(w.sums) +
               static_cast<std::size_t>(row) * static_cast<std::size_t>(packs);
  for (int i = static_cast<int>(threadIdx.x); i < packs; i += static_cast<int>(blockDim.x)) {
    float sum[W] = {};
    for (int p = begin; p < end; ++p) {
      const Pack<T, W> output =
          outputs[static_cast<std::size_t>(w.position[p]) * static_cast<std::size_t>(packs) +
                  static_cast<std::size_t>(i)];
      for (int n = 0; n < W; ++n) sum[n] += w.pair[p].weight * to_float(output.value[n]);
    }
    Pack<T, W> all;  // stored at once, not value by value
    for (int n = 0; n < W; ++n) store(sum[n], all.value[n]);
    sums[i] = all;
  }
}

/// A block a token.
template <class T, int W>
__global__ void add_kernel(Adding a, int packs) {
  write_begin(a.stamp);
  const std::size_t width = static_cast<std::size_t>(packs);
  const std::int32_t* rows =
      a.token_row + std::size_t{blockIdx.x} * static_cast<std::size_t>(a.ranks);
  const auto* returned = static_cast<const Pack<T, W>*>(a.returned);
  auto* x = reinterpret_cast<Pack<float, W>*>(a.x) + blockIdx.x * width;
  const auto* shared = reinterpret_cast<const Pack<float, W>*>(a.shared) + blockIdx.x * width;
  for (int i = static_cast<int>(threadIdx.x); i < packs; i += static_cast<int>(blockDim.x)) {
    Pack<float, W> sum = x[i];
    for (int r = 0; r < a.ranks; ++r) {
      if (rows[r] < 0) continue;
      const Pack<T, W> row =
          returned[static_cast<std::size_t>(rows[r]) * width + static_cast<std::size_t>(i)];
      for (int n = 0; n < W; ++n) sum.value[n] += to_float(row.value[n]);
    }
    if (a.shared != nullptr) {
      const Pack<float, W> own = shared[i];
      for (int n = 0; n < W; ++n) sum.value[n] += own.value[n];
    }
    x[i] = sum;
  }
}

__global__ void spin_kernel(unsigned long long nanoseconds) {
  const unsigned long long begin = GEMBENCH_GLOBAL_TIMER();
  while (GEMBENCH_GLOBAL_TIMER() - begin < nanoseconds) {
  }
}

std::size_t blocks_for(std::size_t items, std::size_t per_block) {
  const std::size_t blocks = (items + per_block - 1) / per_block;
  return blocks < kMostBlocks ? blocks : kMostBlocks;
}

/// Calls with the payload's type and how many values of a row a thread moves at once.
template <class F>
cudaError_t with_packs(DType dtype, int width, F&& call) {
  const bool fours = width % 4 == 0;
  if (dtype == DType::f32) {
    return fours ? call.template operator()<float, 4>() : call.template operator()<float, 1>();
  }
  return fours ? call.template operator()<__nv_bfloat16, 4>()
               : call.template operator()<__nv_bfloat16, 1>();
}

}  // namespace

cudaError_t copy_rows(cudaStream_t stream, std::size_t row_bytes, std::size_t most,
                      const std::int32_t* count, const std::int32_t* index, const void* from,
                      void* to) {
  const std::size_t blocks = blocks_for(most, kThreads / kWarp);
  const auto copy = [&]<class T>(T) {
    return launch(stream, blocks, kThreads, copy_kernel<T>, row_bytes / sizeof(T), count, index,
                  static_cast<const T*>(from), static_cast<T*>(to));
  };
  if (row_bytes % sizeof(uint4) == 0) return copy(uint4{});
  if (row_bytes % sizeof(unsigned) == 0) return copy(0U);
  return copy(static_cast<unsigned short>(0));
}

cudaError_t sort_pairs(cudaStream_t stream, const Sorting& sorting) {
  const int chunks = chunks_of(sorting.pairs);
  const std::size_t each = static_cast<std::size_t>(chunks);
  const std::size_t blocks = static_cast<std::size_t>(sorting.slots) * each;
  cudaError_t result =
      cudaMemsetAsync(sorting.chunk_pairs, 0, blocks * sizeof(std::int32_t), stream);
  if (result == cudaSuccess) result = launch(stream, each, kChunk, slot_kernel, sorting, chunks);
  return result != cudaSuccess ? result
                               : launch(stream, blocks, kChunk, sort_kernel, sorting, chunks);
}

cudaError_t swiglu(cudaStream_t stream, DType dtype, std::size_t rows, int ffn, const void* both,
                   void* inner) {
  return with_packs(dtype, ffn, [&]<class T, int W>() {
    const std::size_t packs = static_cast<std::size_t>(ffn / W);
    return launch(stream, blocks_for(rows * packs, kThreads), kThreads, swiglu_kernel<T, W>, rows,
                  packs, static_cast<const Pack<T, W>*>(both), static_cast<Pack<T, W>*>(inner));
  });
}

cudaError_t plain_product(cudaStream_t stream, DType dtype, const PlainProduct& product) {
  const unsigned blocks_a_row = (static_cast<unsigned>(product.n) + kThreads - 1) / kThreads;
  const std::size_t blocks = static_cast<std::size_t>(product.rows) * blocks_a_row;
  return dtype == DType::f32
             ? launch(stream, blocks, kThreads, plain_kernel<float>, product, blocks_a_row)
             : launch(stream, blocks, kThreads, plain_kernel<__nv_bfloat16>, product, blocks_a_row);
}

cudaError_t weigh_rows(cudaStream_t stream, DType dtype, const Weighing& weighing) {
  return with_packs(dtype, weighing.hidden, [&]<class T, int W>() {
    return launch(stream, static_cast<std::size_t>(weighing.rows), kThreads, weigh_kernel<T, W>,
                  weighing, weighing.hidden / W);
  });
}

cudaError_t add_rows(cudaStream_t stream, DType dtype, const Adding& adding) {
  return with_packs(dtype, adding.hidden, [&]<class T, int W>() {
    return launch(stream, static_cast<std::size_t>(adding.tokens), kThreads, add_kernel<T, W>,
                  adding, adding.hidden / W);
  });
}

cudaError_t spin(cudaStream_t stream, std::uint64_t nanoseconds) {
  return launch(stream, 1, 1, spin_kernel, static_cast<unsigned long long>(nanoseconds));
}

}  // namespace gembench::inline cuda
