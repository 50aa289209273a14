#include "moe_layer/cuda/errors.hpp"

#include <fmt/format.h>

#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline cuda {
namespace {

[[noreturn]] void fail(const char* call, const std::string& words, Whereabouts& at) {
  // The others may be waiting for this rank inside a kernel, and freeing memory waits for kernels.
  if (at.on_error) std::exchange(at.on_error, nullptr)();
  const std::string where = at.layer < 0 ? std::string("outside of layers")
                                         : fmt::format("layer {}, {}", at.layer, at.phase);
  throw Error(
      ExitCode::failed,
      fmt::format("GPU {} of rank {}: {} failed ({}): {}: look for Xid errors in dmesg, and "
                  "run again with NCCL_DEBUG=WARN or under compute-sanitizer",
                  at.gpu, at.rank, call, where, words));
}

}  // namespace

void check(cudaError_t result, const char* call, Whereabouts& at) {
  if (result != cudaSuccess) fail(call, cudaGetErrorString(result), at);
}

void check(cublasStatus_t result, const char* call, Whereabouts& at) {
  if (result != CUBLAS_STATUS_SUCCESS) fail(call, cublasGetStatusString(result), at);
}

void check(ncclResult_t result, const char* call, Whereabouts& at) {
  if (result != ncclSuccess && result != ncclInProgress) fail(call, ncclGetErrorString(result), at);
}

std::string cuda_version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

}  // namespace gembench::inline cuda
