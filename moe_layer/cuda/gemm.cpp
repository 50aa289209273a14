#include "moe_layer/cuda/gemm.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "moe_layer/cuda/memory.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cuda {
namespace {

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

/// Variables that override what is asked of cuBLAS.
void require_true_f32() {
  for (const char* name : {"NVIDIA_TF32_OVERRIDE", "CUBLAS_EMULATE_SINGLE_PRECISION"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || std::string_view(value).empty() || std::string_view(value) == "0") {
      continue;
    }
    throw Error(ExitCode::environment,
                fmt::format("{} is set to '{}', and cuBLAS may then compute f32 products from "
                            "numbers of fewer bits: unset it, or set it to 0",
                            name, value));
  }
}

}  // namespace

Gemm::Gemm(Whereabouts& at) : at_(at) {
  require_true_f32();
  check(cublasCreate(&handle_), "cublasCreate", at_);
  workspace_ = device_memory(workspace_bytes(), at_);
}

Gemm::~Gemm() {
  static_cast<void>(cublasDestroy(handle_));
}

void Gemm::use(cudaStream_t stream) {
  check(cublasSetStream(handle_, stream), "cublasSetStream", at_);  // forgets the workspace
  check(cublasSetWorkspace(handle_, workspace_.as<void>(), workspace_.bytes()),
        "cublasSetWorkspace", at_);
}

// cuBLAS counts by columns: our row-major C = A B is its C' = B' A', with the same memory.
void Gemm::run(cudaStream_t stream, const Product& p) {
  if (p.rows == 0) return;
  use(stream);
  const float one = 1, beta = p.add ? 1.0F : 0.0F;
  check(cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, p.n, p.rows, p.k, &one, p.b, type_of(p.in),
                     p.n, p.a, type_of(p.in), p.k, &beta, p.c, type_of(p.out), p.n,
                     CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx", at_);
}

void Gemm::run(cudaStream_t stream, const ProductGroup& group) {
  if (group.rows.empty()) return;
  use(stream);
  check(call(group), "cublasGemmGroupedBatchedEx", at_);
}

cublasStatus_t Gemm::call(const ProductGroup& group) {
#if CUBLAS_VERSION >= 120500
  const std::size_t groups = group.rows.size();
  plain_.assign(groups, CUBLAS_OP_N);
  n_.assign(groups, group.n);
  k_.assign(groups, group.k);
  ones_.assign(groups, 1);
  one_.assign(groups, 1.0F);
  zero_.assign(groups, 0.0F);
  return cublasGemmGroupedBatchedEx(
      handle_, plain_.data(), plain_.data(), n_.data(), group.rows.data(), k_.data(), one_.data(),
      group.b, CUDA_R_16BF, n_.data(), group.a, CUDA_R_16BF, k_.data(), zero_.data(), group.c,
      CUDA_R_16BF, n_.data(), static_cast<int>(groups), ones_.data(), CUBLAS_COMPUTE_32F);
#else
  static_cast<void>(group);
  return CUBLAS_STATUS_NOT_SUPPORTED;
#endif
}

bool Gemm::has_groups(cudaStream_t stream, Buffer& scratch) {
  constexpr int kSide = 16;
  constexpr std::size_t kBytes = std::size_t{2} * kSide * kSide;
  char* const at = scratch.as<char>();
  const void* const pointers[] = {at, at + kBytes, at + 2 * kBytes};
  char* const array = at + 3 * kBytes;
  check(cudaMemsetAsync(at, 0, 3 * kBytes, stream), "cudaMemsetAsync", at_);
  check(cudaMemcpyAsync(array, pointers, sizeof pointers, cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  ProductGroup group;
  group.n = group.k = kSide;
  group.rows = {kSide};
  group.a = reinterpret_cast<const void* const*>(array);
  group.b = group.a + 1;
  group.c = reinterpret_cast<void* const*>(array) + 2;
  use(stream);
  const cublasStatus_t status = call(group);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH) return false;
  check(status, "cublasGemmGroupedBatchedEx", at_);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  return true;
}

int Gemm::version() {
  // 130002 of 13.0.2; the handle may be none.
  int version = 0;
  static_cast<void>(cublasGetVersion(nullptr, &version));
  return version;
}

}  // namespace gembench::inline cuda
