#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace gembench::simulation {

/// C[m][n] = A[m][k] B[k][n] of bf16, column-major, each column behind the one before it.
struct PlainProduct {
  int m, n, k;
  const void* a;
  const void* b;
  void* c;
};
struct PlainProducts {
  std::size_t count = 0;
  std::function<std::vector<PlainProduct>()> read;  // called when they run
  std::string algorithm = {};                       // may be slow by itself
  void* workspace = nullptr;                        // of the caller's, which they use
};

/// What a library's call puts on a stream; slow and wrong where the settings want that.
cublasStatus_t enqueue_products(const char* call, cudaStream_t stream, const PlainProducts& of);

}  // namespace gembench::simulation
