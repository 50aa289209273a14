#pragma once

#include <driver_types.h>

#include <cstdint>

#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"

/// The kernels of hierarchical dispatch as host calls that enqueue them; like those in kernels.hpp.
namespace gembench::inline cuda {

/// Pairs that arrived for the ranks of this node, and where they go. A pair is for local rank
/// slot / slots, and has slot % slots there. A row goes to a rank once, with all its pairs for it.
/// Data shared by the two halves: counting, then placing.
struct NodePacking {
  int pairs, sources, node_ranks, slots;
  const Pair* pair;             // by source, then row: the pairs of a row are contiguous
  const std::int32_t* pair_at;  // [source + 1] where a source's pairs start
  const std::int32_t* row_at;   // [source + 1] where its rows start
  const std::int32_t* rank_of;  // [local rank], ascending
  std::int32_t* counts;         // [rank][2 + slots]: rows, pairs, pairs of every slot
  std::int32_t* chunk_counts;   // [local rank][chunk][2] rows and pairs, from one half to the other
  Pair* sent_pairs;             // by destination, then as received
  std::int32_t* row_source;     // [sent row], by destination, then as received: received row
  std::int32_t* sent_row;       // [received row][local rank]: the row that goes there, -1 = none
  std::int32_t* rows;           // [1] rows of all destinations; untouched without pairs
};
/// counts, which are 0 for other nodes' ranks, and of sent_row what is -1. `ranks`: all.
cudaError_t count_node_pairs(cudaStream_t stream, const NodePacking& packing, int ranks);
/// Needs the counts; the rest.
cudaError_t place_node_pairs(cudaStream_t stream, const NodePacking& packing);

/// results[row] = the sum of what came back for a received row, in f32, in the order of local
/// ranks; 0 if nothing did.
struct Merging {
  int rows, node_ranks, hidden;
  const std::int32_t* sent_row;  // [row][local rank]
  const void* returned;          // dtype [sent row][hidden]
  void* results;                 // dtype [row][hidden]
};
cudaError_t merge_rows(cudaStream_t stream, DType dtype, const Merging& merging);

}  // namespace gembench::inline cuda
