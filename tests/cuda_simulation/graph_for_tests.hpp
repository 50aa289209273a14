#pragma once

#include <functional>
#include <utility>

#include "tests/cuda_simulation/launch_for_tests.hpp"
#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {

inline __global__ void set_value(int* to, int value) {
  *to = value;
}
inline __global__ void add_value(int* to, const int* from, int value) {
  *to = *from + value;
}

using Errors = std::pair<cudaError_t, cudaError_t>;

/// Captures on stream a; others may fork from it.
class GraphTest : public SimulationTest {
 protected:
  cudaGraph_t capture(const std::function<void()>& calls,
                      cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    cudaGraph_t graph = nullptr;
    EXPECT_CUDA(cudaStreamBeginCapture(a_.stream, mode));
    calls();
    EXPECT_CUDA(cudaStreamEndCapture(a_.stream, &graph));
    return graph;
  }
  /// What a call during a capture returns, and what the capture's end returns afterwards.
  Errors during(cudaStreamCaptureMode mode, const std::function<cudaError_t()>& call) {
    auto* graph = reinterpret_cast<cudaGraph_t>(this);
    EXPECT_CUDA(cudaStreamBeginCapture(a_.stream, mode));
    const cudaError_t during = call();
    const cudaError_t end = cudaStreamEndCapture(a_.stream, &graph);
    EXPECT_EQ(graph != nullptr, end == cudaSuccess);
    if (graph) {
      EXPECT_CUDA(cudaGraphDestroy(graph));
    }
    return {during, end};
  }
  cudaError_t set_on(cudaStream_t stream, int* to, int value) {
    return launch(stream, 1, 1, 0, set_value, to, value);
  }
  cudaError_t add_on(cudaStream_t stream, int* to, const int* from, int value) {
    return launch(stream, 1, 1, 0, add_value, to, from, value);
  }
  const TestStream a_, b_, c_;
  const TestEvent forked_, joined_, other_;
};

/// A graph that can be launched.
struct Executable {
  cudaGraphExec_t graph = nullptr;
  explicit Executable(cudaGraph_t from) {
    EXPECT_CUDA(cudaGraphInstantiate(&graph, from, 0));
    EXPECT_CUDA(cudaGraphDestroy(from));
  }
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;
  ~Executable() { EXPECT_CUDA(cudaGraphExecDestroy(graph)); }
};

}  // namespace gembench::simulation
