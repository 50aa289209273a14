// Weights are read once and tokens are few: narrow tiles, two of them in flight by turns.
#include "moe_layer/cuda/cutlass/grouped_sm90.hpp"
#include "moe_layer/cuda/cutlass/tiles.hpp"

namespace gembench::inline cuda {
namespace {

using cute::_1, cute::_32, cute::_64, cute::_128;
using FewRowsKernel = Grouped<cute::Shape<_128, _32, _64>, cute::Shape<_1, _1, _1>,
                              cutlass::gemm::KernelPtrArrayTmaWarpSpecializedPingpong,
                              cutlass::epilogue::PtrArrayTmaWarpSpecializedPingpong>;

}  // namespace

std::size_t FewRows::workspace_bytes(int multiprocessors) {
  return FewRowsKernel::workspace_bytes(multiprocessors);
}

cudaError_t FewRows::run(cudaStream_t stream, const CutlassGroup& group) {
  return FewRowsKernel::run(stream, group);
}

}  // namespace gembench::inline cuda
