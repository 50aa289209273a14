// In place of the others where CUTLASS was not found.
#include "moe_layer/cuda/cutlass/grouped.hpp"

namespace gembench::inline cuda {

bool has_cutlass() {
  return false;
}

std::size_t cutlass_workspace_bytes(int /*multiprocessors*/) {
  return 0;
}

cudaError_t run_cutlass(cudaStream_t /*stream*/, const CutlassGroup& /*group*/) {
  return cudaErrorNotSupported;
}

}  // namespace gembench::inline cuda
