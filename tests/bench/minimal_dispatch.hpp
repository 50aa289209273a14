#pragma once

#include <mpi.h>

#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/device_calls.hpp"
#include "placement/cost/placement.hpp"

namespace gembench::bench {

/// Dispatch and combine in as few lines as do the job, f32 only: an Alltoall of counts, a gather
/// copy, Alltoallv of rows (a rank's own included), Alltoallv back, sums in f32. A token goes to a
/// rank once; which experts it meets there travels along, without which no rank could compute.
class MinimalDispatch {
 public:
  MinimalDispatch(MPI_Comm comm, int tokens, int topk, int hidden, std::int64_t max_rows,
                  std::int64_t max_pairs);
  ~MinimalDispatch();
  MinimalDispatch(const MinimalDispatch&) = delete;
  MinimalDispatch& operator=(const MinimalDispatch&) = delete;

  /// `x`: [token][hidden], `ids` and `weights`: [token][k].
  void dispatch(std::span<const float> x, std::span<const std::uint16_t> ids,
                std::span<const float> weights, std::span<const Location> locations);
  /// Sends received rows back as they are and adds what returns to `sums`, [token][hidden].
  void combine(std::span<float> sums);

 private:
  MPI_Comm comm_;
  int ranks_ = 0, topk_, hidden_, tokens_;
  MPI_Datatype row_ = MPI_DATATYPE_NULL, pair_ = MPI_DATATYPE_NULL;
  std::vector<int> send_counts_, recv_counts_;  // [rank][2] rows, pairs
  // Counts and displacements as MPI takes them.
  std::vector<int> rows_out_, rows_out_at_, rows_in_, rows_in_at_;
  std::vector<int> pairs_out_, pairs_out_at_, pairs_in_, pairs_in_at_;
  std::vector<int> token_of_, row_of_;  // [row] token; [rank] a token's row there
  std::vector<float> sent_, received_, returned_;
  std::vector<Pair> pairs_sent_, pairs_received_;
};

}  // namespace gembench::bench
