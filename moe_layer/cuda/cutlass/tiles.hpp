#pragma once

#include "moe_layer/cuda/cutlass/grouped.hpp"

/// The kernels behind grouped.hpp by the sizes of their tiles, each in a source of its own: one
/// takes half a minute to compile. No header of CUTLASS is included here.
namespace gembench::inline cuda {

/// For up to 64 rows a group on average.
struct FewRows {
  static std::size_t workspace_bytes(int multiprocessors);
  static cudaError_t run(cudaStream_t stream, const CutlassGroup& group);
};

/// For more.
struct ManyRows {
  static std::size_t workspace_bytes(int multiprocessors);
  static cudaError_t run(cudaStream_t stream, const CutlassGroup& group);
};

}  // namespace gembench::inline cuda
