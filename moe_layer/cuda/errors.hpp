#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <functional>
#include <string>

namespace gembench::inline cuda {

/// The rank's progress, for messages; shared by all parts of a device and updated as it proceeds.
struct Whereabouts {
  int rank = 0;
  int gpu = -1;
  const char* phase = "start";
  int layer = -1;  ///< -1 = outside of layers
  /// Releases the ranks that wait for this one; called once, before an error is thrown.
  std::function<void()> on_error;
};

/// Unless the call succeeded, throw gembench::Error with GPU, call, layer and the library's own
/// message.
void check(cudaError_t result, const char* call, Whereabouts& at);
void check(cublasStatus_t result, const char* call, Whereabouts& at);
void check(ncclResult_t result, const char* call, Whereabouts& at);

/// "13.0" of CUDA's 13000.
[[nodiscard]] std::string cuda_version(int number);

}  // namespace gembench::inline cuda
