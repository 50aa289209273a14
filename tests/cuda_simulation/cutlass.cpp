// In place of moe_layer/cuda/cutlass: the same functions, by the simulation's products.

#include <algorithm>

#include "moe_layer/cuda/cutlass/grouped.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/gemm.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::inline cuda {
namespace {

using namespace gembench::simulation;

constexpr int kUnit = 8;                 // values that TMA moves at least: 16 bytes
constexpr std::size_t kWorkspace = 128;  // bytes of a multiprocessor

/// All groups as they lie in device memory; none, and a broken context, where TMA could not.
std::vector<PlainProduct> products_of(const CutlassGroup& g) {
  std::vector<PlainProduct> products;
  const auto groups = static_cast<std::size_t>(g.groups);
  bool right =
      Memory::space_of(g.sizes, 3 * groups * sizeof *g.sizes) == Space::device &&
      Memory::space_of(g.n, groups * sizeof *g.n) == Space::device &&
      Memory::space_of(g.k, groups * sizeof *g.k) == Space::device &&
      Memory::space_of(g.workspace, cutlass_workspace_bytes(g.multiprocessors)) == Space::device;
  for (const void* array : {static_cast<const void*>(g.a), static_cast<const void*>(g.b),
                            static_cast<const void*>(g.c)}) {
    right = right && Memory::space_of(array, groups * sizeof(void*)) == Space::device;
  }
  std::int64_t rows = 0;
  for (std::size_t i = 0; right && i < groups; ++i) {
    const std::int32_t* const size = g.sizes + 3 * i;
    const auto at = [](const void* matrix) { return reinterpret_cast<std::uintptr_t>(matrix); };
    right = size[0] % kUnit == 0 && size[2] % kUnit == 0 && g.n[i] == size[0] &&
            g.k[i] == size[2] && (at(g.a[i]) | at(g.b[i]) | at(g.c[i])) % (2 * kUnit) == 0;
    rows += size[1];
    products.push_back({size[0], size[1], size[2], g.b[i], g.a[i], g.c[i]});
  }
  if (right && rows == g.rows) return products;
  say("CUTLASS was given matrices that TMA cannot move, or tables that are not on the device");
  break_context(cudaErrorMisalignedAddress);
  return {};
}

}  // namespace

bool has_cutlass() {
  return injected_fault("has_cutlass") == 0;
}

std::size_t cutlass_workspace_bytes(int multiprocessors) {
  return kWorkspace * static_cast<std::size_t>(multiprocessors);
}

cudaError_t run_cutlass(cudaStream_t stream, const CutlassGroup& group) {
  if (const int fault = injected_fault("cutlass")) return static_cast<cudaError_t>(fault);
  if (group.groups == 0) return cudaSuccess;
  // A kernel for few rows and one for many.
  constexpr std::int64_t kFewRows = 64;
  if (first_use(group.rows <= kFewRows * group.groups ? "cutlass few" : "cutlass many")) {
    ++counters().first_uses;
  }
  const auto status = enqueue_products("cutlass", stream,
                                       {static_cast<std::size_t>(group.groups),
                                        [group] { return products_of(group); },
                                        {},
                                        group.workspace});
  return status == CUBLAS_STATUS_SUCCESS ? cudaSuccess : cudaErrorLaunchFailure;
}

}  // namespace gembench::inline cuda
