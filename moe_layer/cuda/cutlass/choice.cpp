// Which of the kernels runs, where CUTLASS was found.
#include "moe_layer/cuda/cutlass/grouped.hpp"

#include <algorithm>

#include "moe_layer/cuda/cutlass/tiles.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::int64_t kFewRows = 64;  // of a group, on average

}  // namespace

bool has_cutlass() {
  return true;
}

std::size_t cutlass_workspace_bytes(int multiprocessors) {
  return std::max(FewRows::workspace_bytes(multiprocessors),
                  ManyRows::workspace_bytes(multiprocessors));
}

cudaError_t run_cutlass(cudaStream_t stream, const CutlassGroup& group) {
  if (group.groups == 0) return cudaSuccess;
  return group.rows <= kFewRows * group.groups ? FewRows::run(stream, group)
                                               : ManyRows::run(stream, group);
}

}  // namespace gembench::inline cuda
