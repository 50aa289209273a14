// Hierarchical dispatch: what a rank does with rows that arrived for its node, and on the way back.
#include "moe_layer/cuda/forwarding_kernels.hpp"

#include "moe_layer/cuda/block.hpp"
#include "moe_layer/cuda/kernels.hpp"

namespace gembench::inline cuda {
namespace {

constexpr unsigned kRowThreads = 256;
constexpr int kAccess = 16;  // bytes that a thread moves at once

/// A received pair as the block of one destination sees it; a thread each.
struct Arrival {
  int local, chunk;  // the block's destination and part of the pairs
  bool starts_row;   // it is the first pair of its received row
  bool here;         // it goes to this destination
  bool first;        // of its row's pairs it is the first that does
  int row, slot;     // received row, slot there
  float weight;
};
__device__ Arrival arrival(const NodePacking& n, int chunks) {
  const int block = static_cast<int>(blockIdx.x);
  Arrival a{block / chunks, block % chunks, false, false, false, 0, 0, 0};
  const int p = a.chunk * kChunk + static_cast<int>(threadIdx.x);
  if (p >= n.pairs) return a;
  const Pair pair = n.pair[p];
  const int source = source_of(n.pair_at, n.sources, p), begin = n.pair_at[source];
  a.row = n.row_at[source] + pair.row;
  a.slot = pair.slot % n.slots;
  a.weight = pair.weight;
  a.here = pair.slot / n.slots == a.local;
  a.starts_row = p == begin || n.pair[p - 1].row != pair.row;
  a.first = a.here;
  for (int q = p - 1; a.first && q >= begin && n.pair[q].row == pair.row; --q) {
    a.first = n.pair[q].slot / n.slots != a.local;
  }
  return a;
}

/// Counts must be 0. Integers: whichever block comes first, the sums are the same.
__global__ void count_node_kernel(NodePacking n, int chunks) {
  const Arrival a = arrival(n, chunks);
  std::int32_t* counts = n.counts + n.rank_of[a.local] * (2 + n.slots);
  if (a.starts_row) n.sent_row[a.row * n.node_ranks + a.local] = -1;
  if (a.here) atomicAdd(&counts[2 + a.slot], 1);
  int rows = 0, pairs = 0;
  sum_before(a.first ? 1 : 0, rows);
  sum_before(a.here ? 1 : 0, pairs);
  if (threadIdx.x != 0) return;
  atomicAdd(&counts[0], rows);
  atomicAdd(&counts[1], pairs);
  std::int32_t* of_chunk = n.chunk_counts + 2 * blockIdx.x;
  of_chunk[0] = rows;
  of_chunk[1] = pairs;
}

/// Rows and pairs stay in the order in which they arrived: a block starts after the rows and pairs
/// of the destinations and chunks before it.
__global__ void place_node_kernel(NodePacking n, int chunks) {
  const Arrival a = arrival(n, chunks);
  const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  int rows = 0, pairs = 0, first_row = 0, chunk_row = 0, pair_at = 0;
  for (int local = thread; local < a.local; local += step) {
    const std::int32_t* counts = n.counts + n.rank_of[local] * (2 + n.slots);
    rows += counts[0];
    pairs += counts[1];
  }
  sum_before(rows, first_row);
  rows = 0;
  for (int c = thread; c < a.chunk; c += step) {
    const std::int32_t* of_chunk = n.chunk_counts + 2 * (a.local * chunks + c);
    rows += of_chunk[0];
    pairs += of_chunk[1];
  }
  sum_before(rows, chunk_row);
  sum_before(pairs, pair_at);

  int all_rows = 0, all_pairs = 0;
  // A pair that is not its row's first has the row of the last first one before it.
  const int row = first_row + chunk_row + sum_before(a.first ? 1 : 0, all_rows) - (a.first ? 0 : 1);
  const int at = pair_at + sum_before(a.here ? 1 : 0, all_pairs);
  if (a.here) n.sent_pairs[at] = {row - first_row, a.slot, a.weight};
  if (a.first) {
    n.row_source[row] = a.row;
    n.sent_row[a.row * n.node_ranks + a.local] = row;
  }
  if (blockIdx.x == gridDim.x - 1 && thread == 0) *n.rows = first_row + chunk_row + all_rows;
}

/// A block a received row.
template <class T, int W>
__global__ void merge_kernel(Merging m, int packs) {
  const std::size_t width = static_cast<std::size_t>(packs);
  const std::int32_t* rows =
      m.sent_row + std::size_t{blockIdx.x} * static_cast<std::size_t>(m.node_ranks);
  const auto* returned = static_cast<const Pack<T, W>*>(m.returned);
  auto* results = static_cast<Pack<T, W>*>(m.results) + blockIdx.x * width;
  for (int i = static_cast<int>(threadIdx.x); i < packs; i += static_cast<int>(blockDim.x)) {
    float sum[W] = {};
    for (int local = 0; local < m.node_ranks; ++local) {
      if (rows[local] < 0) continue;
      const Pack<T, W> row =
          returned[static_cast<std::size_t>(rows[local]) * width + static_cast<std::size_t>(i)];
      for (int w = 0; w < W; ++w) sum[w] += to_float(row.value[w]);
    }
    Pack<T, W> all;  // stored at once, not value by value
    for (int w = 0; w < W; ++w) store(sum[w], all.value[w]);
    results[i] = all;
  }
}

template <class Kernel>
cudaError_t launch_node(cudaStream_t stream, Kernel kernel, const NodePacking& packing) {
  if (packing.pairs == 0) return cudaSuccess;
  const int chunks = chunks_of(packing.pairs);
  const auto blocks =
      static_cast<std::size_t>(packing.node_ranks) * static_cast<std::size_t>(chunks);
  return launch(stream, blocks, kChunk, kernel, packing, chunks);
}

template <class T>
cudaError_t merge_as(cudaStream_t stream, const Merging& merging) {
  constexpr int kWide = kAccess / static_cast<int>(sizeof(T));
  const auto rows = static_cast<std::size_t>(merging.rows);
  return merging.hidden % kWide == 0
             ? launch(stream, rows, kRowThreads, merge_kernel<T, kWide>, merging,
                      merging.hidden / kWide)
             : launch(stream, rows, kRowThreads, merge_kernel<T, 1>, merging, merging.hidden);
}

}  // namespace

cudaError_t count_node_pairs(cudaStream_t stream, const NodePacking& packing, int ranks) {
  const std::size_t bytes = static_cast<std::size_t>(ranks) *
                            static_cast<std::size_t>(2 + packing.slots) * sizeof(std::int32_t);
  const cudaError_t result = cudaMemsetAsync(packing.counts, 0, bytes, stream);
  return result != cudaSuccess ? result : launch_node(stream, count_node_kernel, packing);
}

cudaError_t place_node_pairs(cudaStream_t stream, const NodePacking& packing) {
  return launch_node(stream, place_node_kernel, packing);
}

cudaError_t merge_rows(cudaStream_t stream, DType dtype, const Merging& merging) {
  return dtype == DType::f32 ? merge_as<float>(stream, merging)
                             : merge_as<__nv_bfloat16>(stream, merging);
}

}  // namespace gembench::inline cuda
