// The part of cublasLt that multiplies plain bf16 matrices by an algorithm that it proposes.

#include <cublasLt.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/gemm.hpp"
#include "tests/cuda_simulation/runtime.hpp"

struct cublasLtContext {
  int nothing = 0;
};

namespace gembench::simulation {
namespace {

// What lies in the library's opaque memory.
struct LtLayout {
  std::uint64_t is = 0, rows = 0, columns = 0;
  std::int64_t leading = 0;
  cudaDataType type = CUDA_R_16BF;
};
struct LtDescription {
  std::uint64_t is = 0;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType scale = CUDA_R_32F;
};
struct LtPreference {
  std::uint64_t is = 0, workspace = 0;
  std::uint32_t alignment[4] = {16, 16, 16, 16};  // bytes of A, B, C, D
};
struct LtAlgorithm {
  std::uint64_t is = 0;
  std::int32_t number = 0;
  std::uint32_t alignment = 0;      // bytes that all matrices need
  std::uint64_t m = 0, k = 0;       // the only ones that it can
  std::uint64_t least_columns = 0;  // likewise
  std::uint64_t workspace = 0;      // bytes
};
constexpr std::uint64_t kLayout = 0x4c61796f7574, kDescription = 0x44657363,
                        kPreference = 0x50726566, kAlgorithm = 0x416c676f;
constexpr std::uint64_t kWorkspace = std::uint64_t{1} << 20;
constexpr int kAlgorithms = 3;

template <class T, class Opaque>
T content(const Opaque* opaque) {
  T value;
  static_assert(sizeof value <= sizeof opaque->data);
  std::memcpy(&value, opaque->data, sizeof value);
  return value;
}
template <class T, class Opaque>
void keep(Opaque* opaque, const T& value) {
  static_assert(sizeof value <= sizeof opaque->data);
  std::memset(opaque->data, 0, sizeof opaque->data);
  std::memcpy(opaque->data, &value, sizeof value);
}

/// D = A B of bf16, summed in f32.
struct LtProduct {
  LtLayout a, b, c;
};

cublasStatus_t read_product(LtProduct& to, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d) {
  if (!product || !a || !b || !c || !d) return CUBLAS_STATUS_INVALID_VALUE;
  const auto description = content<LtDescription>(product);
  to = {content<LtLayout>(a), content<LtLayout>(b), content<LtLayout>(c)};
  const auto out = content<LtLayout>(d);
  if (description.is != kDescription) return CUBLAS_STATUS_INVALID_VALUE;
  for (const LtLayout& layout : {to.a, to.b, to.c, out}) {
    if (layout.is != kLayout || layout.rows == 0 || layout.columns == 0 ||
        layout.leading != static_cast<std::int64_t>(layout.rows)) {
      return CUBLAS_STATUS_INVALID_VALUE;  // gaps between columns: nobody needs them here
    }
    if (layout.type != CUDA_R_16BF) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const bool fits = to.a.columns == to.b.rows && to.a.rows == to.c.rows &&
                    to.b.columns == to.c.columns && out.rows == to.c.rows &&
                    out.columns == to.c.columns;
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  const bool f32 = description.compute == CUBLAS_COMPUTE_32F && description.scale == CUDA_R_32F;
  return f32 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/// The first for all sizes, the second with a workspace, the third for this many columns alone.
LtAlgorithm algorithm_of(const LtProduct& product, int number, std::uint32_t alignment) {
  LtAlgorithm algorithm{kAlgorithm, number, alignment, product.a.rows, product.a.columns, 1, 0};
  if (number == 1) algorithm.workspace = kWorkspace;
  if (number == 2) algorithm.least_columns = product.c.columns;
  return algorithm;
}

bool can(const LtAlgorithm& algorithm, const LtProduct& product) {
  return algorithm.is == kAlgorithm && algorithm.m == product.a.rows &&
         algorithm.k == product.a.columns && algorithm.least_columns <= product.c.columns;
}

cublasStatus_t enter_lt(const char* name, cublasLtHandle_t handle) {
  if (const int fault = injected_fault(name)) return static_cast<cublasStatus_t>(fault);
  if (context_error() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

void describe(cublasLtMatmulHeuristicResult_t& to, const LtAlgorithm& algorithm) {
  to = {};
  keep(&to.algo, algorithm);
  to.workspaceSize = algorithm.workspace;
  to.state = CUBLAS_STATUS_SUCCESS;
  to.wavesCount = 1;
}

}  // namespace
}  // namespace gembench::simulation

using namespace gembench::simulation;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (const int fault = injected_fault("cublasLtCreate")) return static_cast<cublasStatus_t>(fault);
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, std::size_t bytes,
                                                 cudaDataType type, std::uint64_t rows,
                                                 std::uint64_t columns, std::int64_t leading) {
  if (!layout || bytes < sizeof *layout) return CUBLAS_STATUS_INVALID_VALUE;
  keep(layout, LtLayout{kLayout, rows, columns, leading, type});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t product, std::size_t bytes,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
  if (!product || bytes < sizeof *product) return CUBLAS_STATUS_INVALID_VALUE;
  keep(product, LtDescription{kDescription, compute, scale});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference,
                                                     std::size_t bytes) {
  if (!preference || bytes < sizeof *preference) return CUBLAS_STATUS_INVALID_VALUE;
  LtPreference made;
  made.is = kPreference;
  keep(preference, made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  auto known = content<LtPreference>(preference);
  if (known.is != kPreference) return CUBLAS_STATUS_INVALID_VALUE;
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
    if (bytes != sizeof known.workspace) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&known.workspace, value, bytes);
  } else {
    const int matrix = attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (matrix < 0 || matrix > 3 || bytes != sizeof known.alignment[0]) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    std::memcpy(&known.alignment[matrix], value, bytes);
  }
  keep(preference, known);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  if (const auto status = enter_lt("cublasLtMatmulAlgoGetHeuristic", handle)) return status;
  LtProduct product;
  if (const auto status = read_product(product, description, a, b, c, d)) return status;
  const auto preferred = content<LtPreference>(preference);
  if (preferred.is != kPreference || asked < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const auto alignment = *std::ranges::min_element(preferred.alignment);
  *found = 0;
  for (int number = 0; number < kAlgorithms && *found < asked; ++number) {
    const auto algorithm = algorithm_of(product, number, alignment);
    if (algorithm.workspace <= preferred.workspace) describe(results[(*found)++], algorithm);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  if (const auto status = enter_lt("cublasLtMatmulAlgoCheck", handle)) return status;
  LtProduct product;
  if (const auto status = read_product(product, description, a, b, c, d)) return status;
  const auto checked = content<LtAlgorithm>(algorithm);
  if (!can(checked, product)) return CUBLAS_STATUS_NOT_SUPPORTED;
  describe(*result, checked);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  if (const auto status = enter_lt("cublasLtMatmul", handle)) return status;
  LtProduct product;
  if (const auto status =
          read_product(product, description, a_layout, b_layout, c_layout, d_layout)) {
    return status;
  }
  const bool plain =
      *static_cast<const float*>(alpha) == 1 && *static_cast<const float*>(beta) == 0;
  if (!plain || c != d) return CUBLAS_STATUS_NOT_SUPPORTED;  // nobody needs it here
  const auto used = algorithm ? content<LtAlgorithm>(algorithm) : algorithm_of(product, 0, 2);
  if (!can(used, product)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto at = [](const void* matrix) { return reinterpret_cast<std::uintptr_t>(matrix); };
  if ((at(a) | at(b) | at(d)) % used.alignment != 0) {
    say("cublasLt was given an algorithm for matrices of another alignment");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  constexpr std::size_t kAlignment = 16;
  if (used.workspace > workspace_bytes ||
      (used.workspace > 0 && (Memory::space_of(workspace, used.workspace) != Space::device ||
                              at(workspace) % kAlignment != 0))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  // The kernel is the algorithm's.
  const std::string name = "cublasLtMatmul/" + std::to_string(used.number);
  if (first_use(name + " " + std::to_string(used.m) + " " + std::to_string(used.k))) {
    ++counters().first_uses;
  }
  const PlainProduct one{static_cast<int>(product.c.rows),
                         static_cast<int>(product.c.columns),
                         static_cast<int>(product.a.columns),
                         a,
                         b,
                         d};
  return enqueue_products("cublasLtMatmul", stream,
                          {1, [one] { return std::vector{one}; }, name, workspace});
}
