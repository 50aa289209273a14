#pragma once

#include <cutlass/cutlass.h>
#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/epilogue/fusion/operations.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/group_array_problem_shape.hpp>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include "moe_layer/cuda/cutlass/grouped.hpp"

namespace gembench::inline cuda {

/// A grouped product by CUTLASS: TMA loads and wgmma, for compute capability 9.0 alone (sm_90a).
/// The transposed product, C'[n][rows] = B'[n][k] A'[k][rows] with the same memory: wgmma computes
/// at least 64 rows of its first matrix, which are then the weights' columns, and rows of tokens,
/// which may be few, are those of its second.
template <class Tile, class Cluster, class Mainloop, class Epilogue>
struct Grouped {
  using Value = cutlass::bfloat16_t;
  static constexpr int kUnit = 8;  // values that TMA moves at least: 16 bytes
  using Transposed = cutlass::layout::ColumnMajor*;
  using Problem = cutlass::gemm::GroupProblemShape<cute::Shape<int, int, int>>;
  using Output = typename cutlass::epilogue::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster,
      cutlass::epilogue::collective::EpilogueTileAuto, float, float, void, Transposed, kUnit, Value,
      Transposed, kUnit, Epilogue,
      cutlass::epilogue::fusion::LinearCombination<Value, float>>::CollectiveOp;
  using Input = typename cutlass::gemm::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Value, Transposed, kUnit, Value,
      Transposed, kUnit, float, Tile, Cluster,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
          sizeof(typename Output::SharedStorage))>,
      Mainloop>::CollectiveOp;
  using Kernel = cutlass::gemm::kernel::GemmUniversal<Problem, Input, Output>;
  using Call = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;
  static_assert(sizeof(typename Kernel::InternalStrideA) == sizeof(std::int64_t) &&
                sizeof(typename Kernel::InternalStrideB) == sizeof(std::int64_t) &&
                sizeof(typename Kernel::InternalStrideD) == sizeof(std::int64_t));
  static_assert(sizeof(typename Problem::UnderlyingProblemShape) == 3 * sizeof(std::int32_t));

  static typename Call::Arguments arguments(const CutlassGroup& g) {
    using Sizes = typename Problem::UnderlyingProblemShape;
    const auto strides = [](const std::int64_t* values) {
      return const_cast<std::int64_t*>(values);
    };
    typename Call::Arguments to{};
    to.mode = cutlass::gemm::GemmUniversalMode::kGrouped;
    to.problem_shape = {g.groups, reinterpret_cast<Sizes*>(const_cast<std::int32_t*>(g.sizes)),
                        nullptr};
    to.mainloop.ptr_A = reinterpret_cast<const Value**>(const_cast<const void**>(g.b));
    to.mainloop.dA = reinterpret_cast<typename Kernel::InternalStrideA*>(strides(g.n));
    to.mainloop.ptr_B = reinterpret_cast<const Value**>(const_cast<const void**>(g.a));
    to.mainloop.dB = reinterpret_cast<typename Kernel::InternalStrideB*>(strides(g.k));
    to.epilogue.ptr_D = reinterpret_cast<Value**>(const_cast<void**>(g.c));
    to.epilogue.dD = reinterpret_cast<typename Kernel::InternalStrideD*>(strides(g.n));
    to.epilogue.thread.alpha = 1;
    to.epilogue.thread.beta = 0;
    to.hw_info.sm_count = g.multiprocessors;
    return to;
  }

  static std::size_t workspace_bytes(int multiprocessors) {
    CutlassGroup group;
    group.multiprocessors = multiprocessors;
    return Call::get_workspace_size(arguments(group));
  }

  static cudaError_t run(cudaStream_t stream, const CutlassGroup& group) {
    const auto given = arguments(group);
    Call call;
    if (Call::can_implement(given) != cutlass::Status::kSuccess) return cudaErrorInvalidValue;
    if (call.initialize(given, group.workspace, stream) != cutlass::Status::kSuccess ||
        call.run(stream) != cutlass::Status::kSuccess) {
      const cudaError_t error = cudaGetLastError();
      return error == cudaSuccess ? cudaErrorLaunchFailure : error;
    }
    return cudaSuccess;
  }
};

}  // namespace gembench::inline cuda
