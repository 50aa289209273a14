// Bound by arithmetic: the largest tiles, of which two neighbours share the tokens' part.
#include "moe_layer/cuda/cutlass/grouped_sm90.hpp"
#include "moe_layer/cuda/cutlass/tiles.hpp"

namespace gembench::inline cuda {
namespace {

using cute::_1, cute::_2, cute::_64, cute::_128, cute::_256;
using ManyRowsKernel = Grouped<cute::Shape<_256, _128, _64>, cute::Shape<_2, _1, _1>,
                               cutlass::gemm::KernelPtrArrayTmaWarpSpecializedCooperative,
                               cutlass::epilogue::PtrArrayTmaWarpSpecializedCooperative>;

}  // namespace

std::size_t ManyRows::workspace_bytes(int multiprocessors) {
  return ManyRowsKernel::workspace_bytes(multiprocessors);
}

cudaError_t ManyRows::run(cudaStream_t stream, const CutlassGroup& group) {
  return ManyRowsKernel::run(stream, group);
}

}  // namespace gembench::inline cuda
