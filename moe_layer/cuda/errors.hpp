#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <functional>
#include <string>

namespace gembench::inline cuda {

/// Where this rank is, for messages; one for everything in a device, which sets it as it goes on.
struct Whereabouts {
  int rank = 0;
  int gpu = -1;
  const char* phase = "start";
  int layer = -1;  ///< -1 = outside of layers
  /// Frees whoever waits for this rank; called once, before an error is thrown.
  std::function<void()> on_error;
};

/// Throw gembench::Error with GPU, call, layer and the library's own words unless it succeeded.
void check(cudaError_t result, const char* call, Whereabouts& at);
void check(cublasStatus_t result, const char* call, Whereabouts& at);
void check(ncclResult_t result, const char* call, Whereabouts& at);

/// "13.0" of CUDA's 13000.
[[nodiscard]] std::string cuda_version(int number);

}  // namespace gembench::inline cuda
