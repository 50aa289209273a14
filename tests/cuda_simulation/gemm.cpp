// The part of cuBLAS that multiplies matrices, on oneDNN's CPU sgemm.

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_simulation/capture.hpp"
#include "tests/cuda_simulation/clock.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/gemm.hpp"
#include "tests/cuda_simulation/runtime.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;  // the caller's; null: a pool of cuBLAS
};

namespace gembench::simulation {
namespace {

/// C = alpha op(A) op(B) + beta C, column-major as in cuBLAS.
struct Shape {
  cublasOperation_t a_op, b_op;
  int m, n, k, lda, ldb, ldc;
  float alpha, beta;
};
struct Types {
  cudaDataType a, b, c;
};

/// A matrix as it is stored: columns of `rows` values, `leading` apart.
struct Extent {
  int rows, columns, leading;
  [[nodiscard]] std::size_t values() const {
    return static_cast<std::size_t>(leading) * static_cast<std::size_t>(columns - 1) +
           static_cast<std::size_t>(rows);
  }
};
Extent extent_of_a(const Shape& s) {
  return s.a_op == CUBLAS_OP_N ? Extent{s.m, s.k, s.lda} : Extent{s.k, s.m, s.lda};
}
Extent extent_of_b(const Shape& s) {
  return s.b_op == CUBLAS_OP_N ? Extent{s.k, s.n, s.ldb} : Extent{s.n, s.k, s.ldb};
}
Extent extent_of_c(const Shape& s) {
  return {s.m, s.n, s.ldc};
}

std::size_t bytes_of(cudaDataType type) {
  return type == CUDA_R_32F ? sizeof(float) : sizeof(__nv_bfloat16);
}

/// f32 as it lies, or a copy of bf16 values as f32 without gaps; `leading` follows.
const float* as_floats(const void* matrix, cudaDataType type, Extent& extent,
                       std::vector<float>& copy) {
  if (type == CUDA_R_32F) return static_cast<const float*>(matrix);
  const auto rows = static_cast<std::size_t>(extent.rows);
  copy.resize(rows * static_cast<std::size_t>(extent.columns));
  const auto* from = static_cast<const __nv_bfloat16*>(matrix);
  for (std::size_t column = 0; column < static_cast<std::size_t>(extent.columns); ++column) {
    const auto* begin = from + column * static_cast<std::size_t>(extent.leading);
    std::transform(begin, begin + rows, copy.begin() + static_cast<std::ptrdiff_t>(column * rows),
                   [](__nv_bfloat16 value) { return __bfloat162float(value); });
  }
  extent.leading = extent.rows;
  return copy.data();
}

/// False where a pointer is not of device memory that is large enough: then nothing is computed.
bool multiply(const Shape& s, const Types& types, const void* a, const void* b, void* c) {
  static std::vector<float> a_copy, b_copy, c_copy;
  Extent a_extent = extent_of_a(s), b_extent = extent_of_b(s), c_extent = extent_of_c(s);
  const std::pair<const void*, std::size_t> ranges[] = {{a, a_extent.values() * bytes_of(types.a)},
                                                        {b, b_extent.values() * bytes_of(types.b)},
                                                        {c, c_extent.values() * bytes_of(types.c)}};
  for (const auto& [at, bytes] : ranges) {
    if (Memory::space_of(at, bytes) == Space::device) continue;
    say("cuBLAS was given a matrix that does not lie in device memory");
    return false;
  }
  const float* a_values = as_floats(a, types.a, a_extent, a_copy);
  const float* b_values = as_floats(b, types.b, b_extent, b_copy);
  auto* c_values = static_cast<float*>(c);
  if (types.c != CUDA_R_32F) {
    c_values = const_cast<float*>(as_floats(c, types.c, c_extent, c_copy));
  }
  omp_set_num_threads(1);  // a rank stands for one GPU and has one thread
  // Row-major products are those of the transposed matrices, which column-major ones are.
  const char a_transposed = s.a_op == CUBLAS_OP_N ? 'N' : 'T';
  const char b_transposed = s.b_op == CUBLAS_OP_N ? 'N' : 'T';
  // Without beta oneDNN does not read C, as cuBLAS does not: it may hold anything.
  if (dnnl_sgemm(b_transposed, a_transposed, s.n, s.m, s.k, s.alpha, b_values, b_extent.leading,
                 a_values, a_extent.leading, s.beta, c_values, c_extent.leading) != dnnl_success) {
    say("oneDNN refuses a matrix product");
    std::abort();
  }
  if (types.c != CUDA_R_32F) {
    for (int column = 0; column < s.n; ++column) {
      auto* to = static_cast<__nv_bfloat16*>(c) + std::ptrdiff_t{column} * s.ldc;
      const float* from = c_values + std::ptrdiff_t{column} * c_extent.leading;
      std::transform(from, from + s.m, to, [](float value) { return __float2bfloat16(value); });
    }
  }
  return true;
}

/// cuBLAS 13.1 has one kernel for groups of bf16 products (..._s16816gemm_bf16_grouped_..._align8):
/// it reads and writes 8 values at once.
bool in_eights(const Shape& s, const Types& types, const void* a, const void* b, const void* c) {
  constexpr int kValues = 8;
  constexpr std::uintptr_t kBytes = kValues * sizeof(__nv_bfloat16);
  if (types.a != CUDA_R_16BF) return true;
  const auto at = [](const void* matrix) { return reinterpret_cast<std::uintptr_t>(matrix); };
  return (s.lda | s.ldb | s.ldc) % kValues == 0 && (at(a) | at(b) | at(c)) % kBytes == 0;
}

cublasStatus_t check_types(const Types& types, cublasComputeType_t compute, bool grouped) {
  const bool f32 = types.a == CUDA_R_32F && types.b == CUDA_R_32F && types.c == CUDA_R_32F;
  const bool bf16 = types.a == CUDA_R_16BF && types.b == CUDA_R_16BF &&
                    (types.c == CUDA_R_16BF || (types.c == CUDA_R_32F && !grouped));
  const bool f32_sums = compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                        (f32 && compute == CUBLAS_COMPUTE_32F_FAST_TF32);
  return (f32 || bf16) && f32_sums ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t check_shape(const Shape& s, bool empty_allowed) {
  const int least = empty_allowed ? 0 : 1;
  if (s.m < least || s.n < least || s.k < least) return CUBLAS_STATUS_INVALID_VALUE;
  for (const Extent& extent : {extent_of_a(s), extent_of_b(s), extent_of_c(s)}) {
    if (extent.leading < std::max(1, extent.rows)) return CUBLAS_STATUS_INVALID_VALUE;
  }
  return CUBLAS_STATUS_SUCCESS;
}

/// The fault the environment asks for; bad handles.
cublasStatus_t enter_blas(const char* name, cublasHandle_t handle) {
  if (const int fault = injected_fault(name)) return static_cast<cublasStatus_t>(fault);
  if (context_error() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

/// Which kernel of cuBLAS multiplies, as far as anybody knows: it may be another one for every size
/// of the matrices, of which the number of rows is the one that changes between steps.
void use_kernel_for(const Shape& s, const Types& types, const char* call) {
  const std::string what = std::string(call) + " " + std::to_string(types.a) + " " +
                           std::to_string(types.c) + " " + std::to_string(s.m) + " " +
                           std::to_string(s.k) + " " +
                           std::to_string(std::bit_width(static_cast<unsigned>(s.n)));
  if (first_use(what)) ++counters().first_uses;
}

/// Work of a call that takes longer where the settings want it.
Run with_delay(const char* call, Run run) {
  const double seconds = slowed(call);
  if (seconds == 0) return run;
  return [=, run = std::move(run)] {
    constexpr double kNanoseconds = 1e9;
    if (is_virtual()) {
      pass_time(static_cast<std::int64_t>(seconds * kNanoseconds));
      return run();
    }
    const double until = now() + seconds;
    while (now() < until) {
    }
    return run();
  };
}

cublasStatus_t enqueue_product(const char* call, cublasHandle_t handle, std::size_t products,
                               Run run) {
  auto* stream = find_stream(handle->stream);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (stream->capture && wrong_results(call) == Wrong::capture) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  // Without memory of the user's, nodes of the graph allocate and free it.
  if (stream->capture && !handle->workspace) ++counters().graph_allocations;
  const auto make = [=, run = std::move(run)] {
    counters().gemms += static_cast<std::int64_t>(products);
    return run;
  };
  return put_on(*stream, {Kind::product, "matrix product", make, 0, handle->workspace}) ==
                 cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

/// Matrices whose addresses lie in device memory and are read when the product runs. `shapes` has
/// one shape a product; `columns`, where the caller keeps theirs, may be read when they run.
cublasStatus_t enqueue_pointers(cublasHandle_t handle, std::vector<Shape> shapes,
                                const Types& types, const void* const* a, const void* const* b,
                                void* const* c, bool grouped, const int* columns = nullptr) {
  const std::size_t products = shapes.size();
  const char* const call = grouped ? "cublasGemmGroupedBatchedEx" : "cublasGemmBatchedEx";
  // The kernel of groups is one for all sizes.
  if (grouped) {
    if (first_use(call)) ++counters().first_uses;
  } else {
    use_kernel_for(shapes.front(), types, call);
  }
  const Wrong wrong = wrong_results(call);
  Run run = [=, shapes = std::move(shapes)]() mutable {
    const std::size_t bytes = shapes.size() * sizeof(void*);
    const bool arrays_fit = Memory::space_of(a, bytes) == Space::device &&
                            Memory::space_of(b, bytes) == Space::device &&
                            Memory::space_of(c, bytes) == Space::device;
    if (!arrays_fit) say("cuBLAS was given an array of pointers that is not in device memory");
    bool right = arrays_fit;
    if (right && wrong == Wrong::nothing) return Progress::done;
    for (std::size_t i = 0; right && i < shapes.size(); ++i) {
      if (wrong == Wrong::late && columns) shapes[i].n = columns[i];
      if (grouped && !in_eights(shapes[i], types, a[i], b[i], c[i])) {
        say("cuBLAS was given a group of bf16 products that are not in units of 8 values");
        break_context(cudaErrorMisalignedAddress);
        return Progress::done;
      }
      right = multiply(shapes[i], types, a[i], b[i], c[i]);
    }
    if (!right) break_context(cudaErrorIllegalAddress);
    if (right && wrong == Wrong::zeros) {
      std::memset(c[shapes.size() - 1], 0, extent_of_c(shapes.back()).values() * bytes_of(types.c));
    }
    return Progress::done;
  };
  return enqueue_product(call, handle, products, with_delay(call, std::move(run)));
}

}  // namespace

cublasStatus_t enqueue_products(const char* call, cudaStream_t stream, const PlainProducts& of) {
  const Types types{CUDA_R_16BF, CUDA_R_16BF, CUDA_R_16BF};
  const Wrong wrong = wrong_results(call);
  cublasContext handle;
  handle.stream = stream;
  handle.workspace = of.workspace;
  Run run = [=] {
    const auto products = of.read();
    for (std::size_t i = 0; i < products.size(); ++i) {
      const PlainProduct& p = products[i];
      const Shape shape{CUBLAS_OP_N, CUBLAS_OP_N, p.m, p.n, p.k, p.m, p.k, p.m, 1, 0};
      const bool last = i + 1 == products.size();
      if (wrong == Wrong::nothing && last) break;
      if (!multiply(shape, types, p.a, p.b, p.c)) {
        break_context(cudaErrorIllegalAddress);
        break;
      }
      if (wrong == Wrong::zeros && last) {
        std::memset(p.c, 0, extent_of_c(shape).values() * bytes_of(types.c));
      }
    }
    return Progress::done;
  };
  run = with_delay(of.algorithm.c_str(), with_delay(call, std::move(run)));
  return enqueue_product(call, &handle, of.count, std::move(run));
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (const int fault = injected_fault("cublasCreate")) return static_cast<cublasStatus_t>(fault);
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  if (const auto status = enter_blas("cublasSetStream", handle)) return status;
  handle->stream = stream;
  handle->workspace = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (const auto status = enter_blas("cublasSetWorkspace", handle)) return status;
  constexpr std::size_t kAlignment = 256;
  const bool fits = bytes == 0 || (Memory::space_of(workspace, bytes) == Space::device &&
                                   reinterpret_cast<std::uintptr_t>(workspace) % kAlignment == 0);
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = bytes > 0 ? workspace : nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t /*mode*/) {
  return enter_blas("cublasSetMathMode", handle);
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t /*handle*/, int* version) {
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "unknown status";
  }
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return cublasGetStatusName(status);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op,
                            int m, int n, int k, const void* alpha, const void* a,
                            cudaDataType a_type, int lda, const void* b, cudaDataType b_type,
                            int ldb, const void* beta, void* c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t /*algorithm*/) {
  if (const auto status = enter_blas("cublasGemmEx", handle)) return status;
  const Types types{a_type, b_type, c_type};
  const Shape shape{a_op,
                    b_op,
                    m,
                    n,
                    k,
                    lda,
                    ldb,
                    ldc,
                    *static_cast<const float*>(alpha),
                    *static_cast<const float*>(beta)};
  if (const auto status = check_types(types, compute, false)) return status;
  if (const auto status = check_shape(shape, true)) return status;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  if (k == 0) return CUBLAS_STATUS_NOT_SUPPORTED;  // real: C = beta C; nobody needs it here
  use_kernel_for(shape, types, "cublasGemmEx");
  const Wrong kind = wrong_results("cublasGemmEx");
  const bool wrong = (kind == Wrong::zeros || kind == Wrong::nothing) && c_type == CUDA_R_16BF;
  return enqueue_product("cublasGemmEx", handle, 1, with_delay("cublasGemmEx", [=] {
                           if (!wrong && !multiply(shape, types, a, b, c)) {
                             break_context(cudaErrorIllegalAddress);
                           }
                           return Progress::done;
                         }));
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t a_op,
                                   cublasOperation_t b_op, int m, int n, int k, const void* alpha,
                                   const void* const a[], cudaDataType a_type, int lda,
                                   const void* const b[], cudaDataType b_type, int ldb,
                                   const void* beta, void* const c[], cudaDataType c_type, int ldc,
                                   int count, cublasComputeType_t compute,
                                   cublasGemmAlgo_t /*algorithm*/) {
  if (const auto status = enter_blas("cublasGemmBatchedEx", handle)) return status;
  const Types types{a_type, b_type, c_type};
  const Shape shape{a_op,
                    b_op,
                    m,
                    n,
                    k,
                    lda,
                    ldb,
                    ldc,
                    *static_cast<const float*>(alpha),
                    *static_cast<const float*>(beta)};
  if (const auto status = check_types(types, compute, false)) return status;
  if (const auto status = check_shape(shape, false)) return status;
  if (count < 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (count == 0) return CUBLAS_STATUS_SUCCESS;
  return enqueue_pointers(handle, std::vector<Shape>(static_cast<std::size_t>(count), shape), types,
                          a, b, c, false);
}

cublasStatus_t cublasGemmGroupedBatchedEx(
    cublasHandle_t handle, const cublasOperation_t a_op[], const cublasOperation_t b_op[],
    const int m[], const int n[], const int k[], const void* alpha, const void* const a[],
    cudaDataType_t a_type, const int lda[], const void* const b[], cudaDataType_t b_type,
    const int ldb[], const void* beta, void* const c[], cudaDataType_t c_type, const int ldc[],
    int groups, const int group_size[], cublasComputeType_t compute) {
  if (const auto status = enter_blas("cublasGemmGroupedBatchedEx", handle)) return status;
  const Types types{a_type, b_type, c_type};
  if (const auto status = check_types(types, compute, true)) return status;
  if (groups < 0) return CUBLAS_STATUS_INVALID_VALUE;
  std::vector<Shape> shapes;
  for (int g = 0; g < groups; ++g) {
    const Shape shape{a_op[g],
                      b_op[g],
                      m[g],
                      n[g],
                      k[g],
                      lda[g],
                      ldb[g],
                      ldc[g],
                      static_cast<const float*>(alpha)[g],
                      static_cast<const float*>(beta)[g]};
    // Stricter than cuBLAS may be: a group without work must be left out.
    if (const auto status = check_shape(shape, false)) return status;
    if (group_size[g] < 1) return CUBLAS_STATUS_INVALID_VALUE;
    shapes.insert(shapes.end(), static_cast<std::size_t>(group_size[g]), shape);
  }
  if (shapes.empty()) return CUBLAS_STATUS_SUCCESS;
  return enqueue_pointers(handle, std::move(shapes), types, a, b, c, true, n);
}
