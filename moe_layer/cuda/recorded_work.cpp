#include "moe_layer/cuda/recorded_work.hpp"

namespace gembench::inline cuda {

RecordedWork::RecordedWork(cudaStream_t stream, const std::function<void()>& work, Whereabouts& at)
    : at_(at) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture",
        at);
  try {
    work();
  } catch (...) {
    // There is a graph where only a call was refused, and none where the capture is invalid.
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture", at);
  const cudaError_t result = cudaGraphInstantiate(&executable_, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  check(result, "cudaGraphInstantiate", at);
}

RecordedWork::~RecordedWork() {
  static_cast<void>(cudaGraphExecDestroy(executable_));
}

void RecordedWork::launch(cudaStream_t stream) {
  check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch", at_);
}

}  // namespace gembench::inline cuda
