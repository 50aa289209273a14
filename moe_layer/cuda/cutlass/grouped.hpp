#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>

/// CUTLASS's grouped products behind plain functions, so that none of its headers is included
/// elsewhere. Without CUTLASS they are there too, and say so.
namespace gembench::inline cuda {

/// C[rows][n] = A[rows][k] B[k][n] of every group, row-major bf16 summed in f32. n and k are
/// multiples of 8, and matrices begin at multiples of 16 bytes. All arrays are device memory, and
/// are read when the products run.
struct CutlassGroup {
  int groups = 0;
  std::int64_t rows = 0;                ///< of all groups: decides the size of tiles
  const std::int32_t* sizes = nullptr;  ///< [group][3] n, rows, k
  const void* const* a = nullptr;       ///< [group]
  const void* const* b = nullptr;
  void* const* c = nullptr;
  // [group] values from one row to the next, all equal.
  const std::int64_t* n = nullptr;  ///< of B and C
  const std::int64_t* k = nullptr;  ///< of A
  void* workspace = nullptr;        ///< cutlass_workspace_bytes(), at a multiple of 256 bytes
  int multiprocessors = 0;
};

/// Whether it was compiled in, with kernels for compute capability 9.0.
[[nodiscard]] bool has_cutlass();
[[nodiscard]] std::size_t cutlass_workspace_bytes(int multiprocessors);
/// Enqueues one kernel; allocates nothing and does not wait. An error where the launch is refused.
[[nodiscard]] cudaError_t run_cutlass(cudaStream_t stream, const CutlassGroup& group);

}  // namespace gembench::inline cuda
