#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/device/buffer.hpp"
#include "moe_layer/model/shape.hpp"

namespace gembench::inline cuda {

/// C[rows][n] = A[rows][k] B[k][n], row-major. f32 products are true f32, bf16 ones are summed in
/// f32.
struct Product {
  int rows = 0, n = 0, k = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  DType in = DType::f32, out = DType::f32;
  bool add = false;  ///< to what C holds
};

/// Products that differ only in their rows; all matrices lie in device memory.
struct ProductGroup {
  int n = 0, k = 0;
  std::vector<int> rows;  ///< [group], none 0
  // [group], arrays in device memory, read when the products run
  const void* const* a = nullptr;
  const void* const* b = nullptr;
  void* const* c = nullptr;
  const std::int32_t* sizes = nullptr;  ///< [group][3] n, rows, k; likewise in device memory
  void* const* host = nullptr;          ///< [3] arrays a, b, c as the host filled them,
  std::size_t host_stride = 0;          ///< so many pointers apart
  /// Of product `group` by itself, f32 summed; C has the type of A and B.
  [[nodiscard]] Product one(std::size_t group, DType dtype) const {
    return {rows[group],
            n,
            k,
            host[group],
            host[host_stride + group],
            host[2 * host_stride + group],
            dtype,
            dtype,
            false};
  }
};

/// A cuBLAS handle with a workspace of its own, so that nothing is allocated when products run.
class Gemm {
 public:
  explicit Gemm(Whereabouts& at);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  void run(cudaStream_t stream, const Product& product);
  /// All products in one call, bf16.
  void run(cudaStream_t stream, const ProductGroup& group);
  /// Whether this cuBLAS and GPU have that call: tries it on 16 x 16 numbers of `scratch`.
  [[nodiscard]] bool has_groups(cudaStream_t stream, Buffer& scratch);

  [[nodiscard]] static std::size_t workspace_bytes() { return std::size_t{32} << 20; }
  /// For other libraries too, on the stream of this handle's products.
  [[nodiscard]] Buffer& workspace() { return workspace_; }
  [[nodiscard]] static int version();

 private:
  void use(cudaStream_t stream);
  cublasStatus_t call(const ProductGroup& group);

  Whereabouts& at_;
  cublasHandle_t handle_ = nullptr;
  Buffer workspace_;
  // What the grouped call takes a group, grown to the largest number of groups once.
  std::vector<cublasOperation_t> plain_;
  std::vector<int> n_, k_, ones_;
  std::vector<float> one_, zero_;
};

}  // namespace gembench::inline cuda
