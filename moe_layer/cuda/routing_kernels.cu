// Inputs, norm, top-k and packing: the work on a rank's own tokens before they are sent.
#include <math_constants.h>

#include "moe_layer/cuda/block.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/model/uniform.hpp"

namespace gembench::inline cuda {
namespace {

constexpr float kRmsEpsilon = 1e-6F;
constexpr unsigned kRowThreads = 256;    // a token's row
constexpr unsigned kTokenThreads = 128;  // four tokens, a warp each

/// A block a token.
__global__ void fill_kernel(Filling f) {
  const std::uint64_t key = fold(
      f.key, static_cast<std::uint64_t>(f.first_token) + static_cast<std::uint64_t>(blockIdx.x));
  float* row = f.x + std::size_t{blockIdx.x} * static_cast<std::size_t>(f.hidden);
  for (int i = static_cast<int>(threadIdx.x); 2 * i < f.hidden; i += static_cast<int>(blockDim.x)) {
    const UniformPair pair = uniform_pair(key, static_cast<std::uint64_t>(i), f.step);
    row[2 * i] = pair.first;
    if (2 * i + 1 < f.hidden) row[2 * i + 1] = pair.second;
  }
}

/// A block a token.
template <class T>
__global__ void norm_kernel(int hidden, const float* x, float* normed, T* payload, Stamp stamp) {
  write_begin(stamp);
  __shared__ float of_warp[kWarp];
  const std::size_t row = std::size_t{blockIdx.x} * static_cast<std::size_t>(hidden);
  float squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += static_cast<int>(blockDim.x)) {
    squares += x[row + static_cast<std::size_t>(i)] * x[row + static_cast<std::size_t>(i)];
  }
  squares = warp_sum(squares);
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = squares;
  __syncthreads();
  float all = 0;
  for (unsigned w = 0; w < blockDim.x / kWarp; ++w) all += of_warp[w];
  const float scale = 1 / sqrtf(all / static_cast<float>(hidden) + kRmsEpsilon);
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += static_cast<int>(blockDim.x)) {
    const std::size_t at = row + static_cast<std::size_t>(i);
    const float value = x[at] * scale;
    normed[at] = value;
    store(value, payload[at]);
  }
}

/// The best (logit, expert) of the warp: larger logit, then lower expert; expert < 0 is none.
__device__ void best_of_warp(float& logit, int& expert) {
  for (int apart = static_cast<int>(kWarp) / 2; apart > 0; apart /= 2) {
    const float other_logit = __shfl_xor_sync(kAllLanes, logit, apart);
    const int other = __shfl_xor_sync(kAllLanes, expert, apart);
    const bool better = other >= 0 && (expert < 0 || other_logit > logit ||
                                       (other_logit == logit && other < expert));
    if (better) {
      logit = other_logit;
      expert = other;
    }
  }
}

/// One warp per token. Every round selects the best expert that comes after the last selected one
/// in the order, so no state is needed for the others, for any number of experts.
__global__ void choose_kernel(Choice c) {
  const int token = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / kWarp);
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  if (token >= c.tokens) return;
  const float* logits =
      c.logits + static_cast<std::size_t>(token) * static_cast<std::size_t>(c.experts);
  const std::size_t first = static_cast<std::size_t>(token) * static_cast<std::size_t>(c.topk);
  float last = CUDART_INF_F;
  int taken = -1;
  for (int j = 0; j < c.topk; ++j) {
    float best = 0;
    int expert = -1;
    for (int e = lane; e < c.experts; e += static_cast<int>(kWarp)) {
      const float logit = logits[e];
      const bool after = logit < last || (logit == last && e > taken);
      if (after && (expert < 0 || logit > best)) {
        best = logit;
        expert = e;
      }
    }
    best_of_warp(best, expert);
    // NaN logits are never selected; the value is then at least a valid expert.
    if (expert < 0) expert = j;
    last = best;
    taken = expert;
    if (lane == 0)
      c.gate_ids[first + static_cast<std::size_t>(j)] = static_cast<std::uint16_t>(expert);
  }
  if (lane != 0) return;
  const std::uint16_t* used = c.replay != nullptr ? c.replay + first : c.gate_ids + first;
  float top = -CUDART_INF_F, sum = 0;
  for (int j = 0; j < c.topk; ++j) top = fmaxf(top, logits[used[j]]);
  for (int j = 0; j < c.topk; ++j) {
    const float share = expf(logits[used[j]] - top);
    c.weights[first + static_cast<std::size_t>(j)] = share;
    sum += share;
  }
  for (int j = 0; j < c.topk; ++j) {
    c.weights[first + static_cast<std::size_t>(j)] /= sum;
    c.ids[first + static_cast<std::size_t>(j)] = used[j];
  }
}

/// Pairs of a token for one rank.
__device__ int pairs_for(const Packing& p, int token, int rank) {
  int here = 0;
  for (int j = 0; j < p.topk; ++j)
    here += p.locations[p.ids[token * p.topk + j]].rank == rank ? 1 : 0;
  return here;
}

/// What a block of packing works on: a destination and kChunk tokens in order, a thread each.
struct Part {
  int rank, chunk, token;
};
__device__ Part part_of(int chunks) {
  const int block = static_cast<int>(blockIdx.x), chunk = block % chunks;
  return {block / chunks, chunk, chunk * kChunk + static_cast<int>(threadIdx.x)};
}

/// Counts must be 0. Integers: whichever block comes first, the sums are the same.
__global__ void count_kernel(Packing p, int chunks) {
  write_begin(p.stamp);
  const Part part = part_of(chunks);
  std::int32_t* counts = p.counts + part.rank * (2 + p.slots);
  int here = 0;
  for (int j = 0; part.token < p.tokens && j < p.topk; ++j) {
    const Location location = p.locations[p.ids[part.token * p.topk + j]];
    if (location.rank != part.rank) continue;
    ++here;
    atomicAdd(&counts[2 + location.slot], 1);
  }
  int rows = 0, pairs = 0;
  sum_before(here > 0 ? 1 : 0, rows);
  sum_before(here, pairs);
  if (threadIdx.x != 0) return;
  atomicAdd(&counts[0], rows);
  atomicAdd(&counts[1], pairs);
  std::int32_t* of_chunk = p.chunk_counts + 2 * (part.rank * chunks + part.chunk);
  of_chunk[0] = rows;
  of_chunk[1] = pairs;
}

/// Rows and pairs are in the order of tokens: a block starts after the rows and pairs of the ranks
/// and chunks before it.
__global__ void place_kernel(Packing p, int chunks) {
  const Part part = part_of(chunks);
  const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  int rows = 0, pairs = 0, first_row = 0, chunk_row = 0, pair_at = 0;
  for (int r = thread; r < part.rank; r += step) {
    rows += p.counts[r * (2 + p.slots)];
    pairs += p.counts[r * (2 + p.slots) + 1];
  }
  sum_before(rows, first_row);
  rows = 0;
  for (int c = thread; c < part.chunk; c += step) {
    const int at = 2 * (part.rank * chunks + c);
    rows += p.chunk_counts[at];
    pairs += p.chunk_counts[at + 1];
  }
  sum_before(rows, chunk_row);
  sum_before(pairs, pair_at);

  const bool real = part.token < p.tokens;
  const int here = real ? pairs_for(p, part.token, part.rank) : 0;
  int all_rows = 0, all_pairs = 0;
  const int row = first_row + chunk_row + sum_before(here > 0 ? 1 : 0, all_rows);
  int pair = pair_at + sum_before(here, all_pairs);
  if (real) p.token_row[part.token * p.ranks + part.rank] = here > 0 ? row : -1;
  if (here > 0) {
    p.row_token[row] = part.token;
    for (int j = 0; j < p.topk; ++j) {
      const int k = part.token * p.topk + j;
      const Location location = p.locations[p.ids[k]];
      if (location.rank == part.rank)
        p.pairs[pair++] = {row - first_row, location.slot, p.weights[k]};
    }
  }
  if (blockIdx.x == gridDim.x - 1 && thread == 0) *p.rows = first_row + chunk_row + all_rows;
}

template <class Kernel>
cudaError_t launch_parts(cudaStream_t stream, Kernel kernel, const Packing& packing) {
  const int chunks = chunks_of(packing.tokens);
  const auto blocks = static_cast<std::size_t>(packing.ranks) * static_cast<std::size_t>(chunks);
  return launch(stream, blocks, kChunk, kernel, packing, chunks);
}

}  // namespace

cudaError_t fill_inputs(cudaStream_t stream, const Filling& filling) {
  return launch(stream, static_cast<std::size_t>(filling.tokens), kRowThreads, fill_kernel,
                filling);
}

cudaError_t norm_rows(cudaStream_t stream, DType dtype, int tokens, int hidden, const float* x,
                      float* normed, void* payload, Stamp stamp) {
  const auto blocks = static_cast<std::size_t>(tokens);
  return dtype == DType::f32
             ? launch(stream, blocks, kRowThreads, norm_kernel<float>, hidden, x, normed,
                      static_cast<float*>(payload), stamp)
             : launch(stream, blocks, kRowThreads, norm_kernel<__nv_bfloat16>, hidden, x, normed,
                      static_cast<__nv_bfloat16*>(payload), stamp);
}

cudaError_t choose_experts(cudaStream_t stream, const Choice& choice) {
  constexpr unsigned tokens = kTokenThreads / kWarp;
  return launch(stream, (static_cast<std::size_t>(choice.tokens) + tokens - 1) / tokens,
                kTokenThreads, choose_kernel, choice);
}

cudaError_t count_pairs(cudaStream_t stream, const Packing& packing) {
  const std::size_t bytes = static_cast<std::size_t>(packing.ranks) *
                            static_cast<std::size_t>(2 + packing.slots) * sizeof(std::int32_t);
  const cudaError_t result = cudaMemsetAsync(packing.counts, 0, bytes, stream);
  return result != cudaSuccess ? result : launch_parts(stream, count_kernel, packing);
}

cudaError_t place_pairs(cudaStream_t stream, const Packing& packing) {
  return launch_parts(stream, place_kernel, packing);
}

}  // namespace gembench::inline cuda
