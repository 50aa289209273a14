#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "moe_layer/cuda/errors.hpp"

namespace gembench::inline cuda {

/// Some work as a graph: captured from a stream, and instantiated.
class RecordedWork {
 public:
  /// Throws what `work` throws, and where it cannot be captured; the stream captures no longer.
  RecordedWork(cudaStream_t stream, const std::function<void()>& work, Whereabouts& at);
  ~RecordedWork();
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;

  void launch(cudaStream_t stream);

 private:
  Whereabouts& at_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace gembench::inline cuda
