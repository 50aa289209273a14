#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>

#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/cost/placement.hpp"

/// The kernels as host calls that enqueue them. All pointers are device memory; shapes are
/// row-major with the last index fastest; "dtype" is the payload type. No thread of one block waits
/// for another block, sums have a fixed order, and no call allocates or waits.
namespace gembench::inline cuda {

/// x = the inputs of a step's tokens from first_token on; see InputStream.
struct Filling {
  int first_token, tokens, hidden;
  std::uint64_t key;
  float step;
  float* x;  // [token][hidden]
};
cudaError_t fill_inputs(cudaStream_t stream, const Filling& filling);

/// Where the first block of a launch writes the time of its begin: ns of the GPU's timer; null =
/// nowhere. No launch (no tokens), no time.
using Stamp = unsigned long long*;

/// normed = x / rms(x), as f32 and as payload. All [token][hidden].
cudaError_t norm_rows(cudaStream_t stream, DType dtype, int tokens, int hidden, const float* x,
                      float* normed, void* payload, Stamp stamp = nullptr);

/// The router's own top-k ([token][k], largest logit first, ties to the lower expert), the experts
/// used (`replay`, or if that is null the router's own) and their weights: softmax over the k
/// logits.
struct Choice {
  int tokens, experts, topk;
  const float* logits;          // [token][expert]
  const std::uint16_t* replay;  // [token][k] or null
  std::uint16_t* gate_ids;
  std::uint16_t* ids;
  float* weights;
};
cudaError_t choose_experts(cudaStream_t stream, const Choice& choice);

/// Tokens or pairs that one block sorts in their order; there are as many blocks as needed, one row
/// of them for every destination or slot.
inline constexpr int kChunk = 256;
[[nodiscard]] constexpr int chunks_of(int items) {
  return items > kChunk ? (items + kChunk - 1) / kChunk : 1;
}

/// Data shared by the two halves of packing.
struct Packing {
  int tokens, topk, ranks, slots;
  const std::uint16_t* ids;    // [token][k]
  const float* weights;        // [token][k]
  const Location* locations;   // [expert]
  std::int32_t* counts;        // [rank][2 + slots]: rows, pairs, pairs of every slot
  std::int32_t* chunk_counts;  // [rank][chunk][2] rows and pairs, from one half to the other
  Pair* pairs;                 // by destination, then token, then k
  std::int32_t* row_token;     // [row], by destination, then token
  std::int32_t* token_row;     // [token][rank]: the row that goes there, -1 = none
  std::int32_t* rows;          // [1] rows of all destinations
  Stamp stamp;                 // of counting
};
cudaError_t count_pairs(cudaStream_t stream, const Packing& packing);
/// Needs the counts.
cudaError_t place_pairs(cudaStream_t stream, const Packing& packing);

/// to[i] = from[index[i]] for i < *count <= most. Rows of row_bytes.
cudaError_t copy_rows(cudaStream_t stream, std::size_t row_bytes, std::size_t most,
                      const std::int32_t* count, const std::int32_t* index, const void* from,
                      void* to);

/// Received pairs in the order of their experts.
struct Sorting {
  int pairs, ranks, slots;
  const Pair* pair;             // by source
  const std::int32_t* pair_at;  // [rank + 1] where a source's pairs start
  const std::int32_t* row_at;   // [rank + 1] where its rows start
  const std::int32_t* slot_at;  // [slot + 1] where a slot's sorted pairs start
  std::int32_t* sorted_row;     // [sorted pair] received row
  std::int32_t* position;       // [pair] its place among the sorted ones
  std::int32_t* first_pair;     // [row] first of its pairs
  std::int32_t* slot_tokens;    // [slot] pairs found
  std::int32_t* chunk_pairs;    // [slot][chunk] scratch
  Stamp stamp;
};
cudaError_t sort_pairs(cudaStream_t stream, const Sorting& sorting);

/// inner[row][f] = swish(both[row][f]) * both[row][ffn + f]; dtype [row][ffn], [row][2 ffn].
cudaError_t swiglu(cudaStream_t stream, DType dtype, std::size_t rows, int ffn, const void* both,
                   void* inner);

/// c[row] = a[row] times a matrix of its own, summed in f32 in the order of k, a thread a value:
/// slow, and what faster products are held against.
struct PlainProduct {
  int rows, n, k;
  const void* a;               // dtype [row][k]
  const void* const* b;        // [matrix] dtype [k][n]
  const std::int32_t* matrix;  // [row]
  void* c;                     // dtype [row][n]
};
cudaError_t plain_product(cudaStream_t stream, DType dtype, const PlainProduct& product);

/// sums[row] = its experts' outputs by weight, in f32, in the order of its pairs.
struct Weighing {
  int rows, pairs, hidden;
  const Pair* pair;
  const std::int32_t* position;
  const std::int32_t* first_pair;
  const void* outputs;  // dtype [sorted pair][hidden]
  void* sums;           // dtype [row][hidden]
};
cudaError_t weigh_rows(cudaStream_t stream, DType dtype, const Weighing& weighing);

/// x[token] += its returned rows in the order of their ranks, then += shared, in f32.
struct Adding {
  int tokens, ranks, hidden;
  const std::int32_t* token_row;  // [token][rank]
  const void* returned;           // dtype [row][hidden]
  const float* shared;            // [token][hidden] or null
  float* x;                       // [token][hidden]
  Stamp stamp;
};
cudaError_t add_rows(cudaStream_t stream, DType dtype, const Adding& adding);

/// Keeps the stream busy for so many nanoseconds of the GPU's clock.
cudaError_t spin(cudaStream_t stream, std::uint64_t nanoseconds);

/// *stamp = the GPU's timer, ns.
cudaError_t write_stamp(cudaStream_t stream, Stamp stamp);
/// Keeps the stream busy until the time since *stamp is `factor` times as long.
cudaError_t spin_since(cudaStream_t stream, const unsigned long long* stamp, double factor);
/// *step = the least step of the GPU's timer among some, ns; 0 = it was not seen to move.
cudaError_t timer_step(cudaStream_t stream, unsigned long long* step);

}  // namespace gembench::inline cuda
