// Stream capture and graphs: what is recorded, how it runs, and what is refused.

#include <cublas_v2.h>

#include <functional>

#include "tests/cuda_simulation/launch_for_tests.hpp"
#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

__global__ void set_value(int* to, int value) {
  *to = value;
}
__global__ void add_value(int* to, const int* from, int value) {
  *to = *from + value;
}

class Graphs : public SimulationTest {
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
  std::pair<cudaError_t, cudaError_t> during(cudaStreamCaptureMode mode,
                                             const std::function<cudaError_t()>& call) {
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

using Errors = std::pair<cudaError_t, cudaError_t>;

TEST_F(Graphs, a_capture_runs_nothing_and_a_launch_runs_it_with_the_arguments_of_the_capture) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> value(std::vector<int>{0}), copy(1);
    int argument = 7;
    auto* graph = capture([&] {
      EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), argument));
      EXPECT_CUDA(cudaMemcpyAsync(copy.get(), value.get(), 4, cudaMemcpyDeviceToDevice, a_.stream));
    });
    argument = 8;
    EXPECT_EQ(value.read()[0], 0);
    const Executable executable(graph);
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, b_.stream));  // after the first, on any stream
    EXPECT_CUDA(cudaStreamSynchronize(b_.stream));
    EXPECT_EQ(copy.read()[0], 14) << order;
  }
}

/// A diamond: a sets, b and c read and write, a reads both. Without the edges it goes wrong.
int diamond(const Graphs& /*test*/, cudaStream_t a, cudaStream_t b, cudaStream_t c, bool ordered) {
  const Values<int> in(1), left(1), right(1), out(1);
  const TestEvent begin, left_done, right_done, set;
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
  EXPECT_CUDA(cudaEventRecord(begin.event, a));
  EXPECT_CUDA(launch(a, 1, 1, 0, set_value, in.get(), 1));
  EXPECT_CUDA(cudaEventRecord(set.event, a));
  for (const cudaStream_t stream : {b, c}) {
    EXPECT_CUDA(cudaStreamWaitEvent(stream, ordered ? set.event : begin.event));
  }
  EXPECT_CUDA(launch(b, 1, 1, 0, add_value, left.get(), in.get(), 10));
  EXPECT_CUDA(launch(c, 1, 1, 0, add_value, right.get(), in.get(), 100));
  EXPECT_CUDA(cudaEventRecord(left_done.event, b));
  EXPECT_CUDA(cudaEventRecord(right_done.event, c));
  EXPECT_CUDA(cudaStreamWaitEvent(a, right_done.event));
  EXPECT_CUDA(launch(a, 1, 1, 0, add_value, out.get(), right.get(), 0));
  EXPECT_CUDA(cudaStreamWaitEvent(a, left_done.event));
  EXPECT_CUDA(launch(a, 1, 1, 0, add_value, out.get(), left.get(), 0));
  EXPECT_CUDA(cudaStreamEndCapture(a, &graph));
  const Executable executable(graph);
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a));
  EXPECT_CUDA(cudaStreamSynchronize(a));
  return left.read()[0] + right.read()[0] + out.read()[0];
}

TEST_F(Graphs, a_fork_keeps_its_order_and_a_missing_dependency_shows_in_some_order) {
  constexpr int kRight = 11 + 101 + 11;
  int wrong = 0;
  for (const auto& order : kOrders) {
    set("ORDER", order);
    EXPECT_EQ(diamond(*this, a_.stream, b_.stream, c_.stream, true), kRight) << order;
    wrong += diamond(*this, a_.stream, b_.stream, c_.stream, false) != kRight ? 1 : 0;
  }
  EXPECT_GT(wrong, 0);
}

TEST_F(Graphs, a_launch_runs_after_the_work_before_it_and_before_the_work_after_it) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> value(1), sum(1), after(1);
    const Executable executable(
        capture([&] { EXPECT_CUDA(add_on(a_.stream, sum.get(), value.get(), 1)); }));
    for (int i = 0; i < 3; ++i) {
      EXPECT_CUDA(set_on(b_.stream, value.get(), 10 * i));
      EXPECT_CUDA(cudaGraphLaunch(executable.graph, b_.stream));
      EXPECT_CUDA(add_on(b_.stream, after.get(), sum.get(), 0));
    }
    EXPECT_CUDA(cudaStreamSynchronize(b_.stream));
    EXPECT_EQ(after.read()[0], 21) << order;
  }
}

TEST_F(Graphs, counters_tell_captured_launched_and_run_work_apart) {
  const Values<int> value(1);
  Values<int> pinned(1, true);
  gembench_simulation_reset_counters();
  auto* graph = capture([&] {
    EXPECT_CUDA(cudaMemsetAsync(value.get(), 0, 4, a_.stream));
    EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), 1));
    EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), 1));
    EXPECT_CUDA(cudaMemcpyAsync(pinned.get(), value.get(), 4, cudaMemcpyDeviceToHost, a_.stream));
    EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
  });
  std::size_t count = 0;
  EXPECT_CUDA(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  EXPECT_CUDA(cudaGraphGetNodes(graph, nodes.data(), &count));
  std::vector<cudaGraphNodeType> types(count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_CUDA(cudaGraphNodeGetType(nodes[i], &types[i]));
  }
  EXPECT_EQ(types,
            (std::vector<cudaGraphNodeType>{cudaGraphNodeTypeMemset, cudaGraphNodeTypeKernel,
                                            cudaGraphNodeTypeKernel, cudaGraphNodeTypeMemcpy}));
  const Executable executable(graph);
  const auto& counted = counters();
  EXPECT_EQ(counted.captured_calls, 5);
  EXPECT_EQ(counted.graph_kernels, 0);
  EXPECT_EQ(counted.first_uses, 1);  // of the kernel
  EXPECT_CUDA(cudaGraphUpload(executable.graph, a_.stream));
  EXPECT_EQ(counted.first_uses, 2);  // of the graph, which the launch need not send any more
  for (int i = 0; i < 2; ++i) EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(pinned[0], 2);
  EXPECT_EQ(counted.first_uses, 2);
  EXPECT_EQ(counted.graph_instantiations, 1);
  EXPECT_EQ(counted.graph_launches, 2);
  EXPECT_EQ(counted.graph_kernels, 4);
  EXPECT_EQ(counted.graph_sets, 2);
  EXPECT_EQ(counted.graph_copies, 2);
  EXPECT_EQ(counted.copied_bytes, 8);
  EXPECT_EQ(counted.launches + counted.copies + counted.sets + counted.event_records, 0);
}

TEST_F(Graphs, an_update_takes_new_arguments_and_refuses_another_shape) {
  const Values<int> value(1);
  Values<int> pinned(1, true);
  const auto one = [&](int x) {
    return capture([&, x] { EXPECT_CUDA(set_on(a_.stream, value.get(), x)); });
  };
  const Executable executable(one(1));
  const auto update = [&](cudaGraph_t graph) {
    cudaGraphExecUpdateResultInfo info{};
    const auto error = cudaGraphExecUpdate(executable.graph, graph, &info);
    EXPECT_EQ(error, info.result == cudaGraphExecUpdateSuccess ? cudaSuccess
                                                               : cudaErrorGraphExecUpdateFailure);
    EXPECT_CUDA(cudaGraphDestroy(graph));
    return info.result;
  };
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));  // with the old argument
  EXPECT_EQ(update(one(2)), cudaGraphExecUpdateSuccess);
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(value.read()[0], 1);
  EXPECT_EQ(update(capture([&] {
              EXPECT_CUDA(set_on(a_.stream, value.get(), 3));
              EXPECT_CUDA(set_on(a_.stream, value.get(), 4));
            })),
            cudaGraphExecUpdateErrorTopologyChanged);
  EXPECT_EQ(update(capture([&] { EXPECT_CUDA(cudaMemsetAsync(value.get(), 0, 4, a_.stream)); })),
            cudaGraphExecUpdateErrorNodeTypeChanged);
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(value.read()[0], 2);
  EXPECT_EQ(counters().graph_updates, 1);
}

TEST_F(Graphs, a_fork_that_does_not_join_is_no_graph) {
  const Values<int> value(1);
  const Errors found = during(cudaStreamCaptureModeGlobal, [&] {
    EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
    EXPECT_CUDA(cudaStreamWaitEvent(b_.stream, forked_.event));
    return set_on(b_.stream, value.get(), 1);
  });
  EXPECT_EQ(found, Errors(cudaSuccess, cudaErrorStreamCaptureUnjoined));
  EXPECT_CUDA(set_on(b_.stream, value.get(), 2));  // no stream captures any more
  EXPECT_CUDA(cudaStreamSynchronize(b_.stream));
  EXPECT_EQ(value.read()[0], 2);
}

/// Calls that are wrong in every mode.
TEST_F(Graphs, what_conflicts_with_a_capture_makes_it_invalid) {
  const Values<int> value(1);
  int pageable = 0;
  const TestEvent before;
  EXPECT_CUDA(cudaEventRecord(before.event, b_.stream));
  const auto recorded = [&] {
    EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
    return forked_.event;
  };
  const std::vector<std::pair<cudaError_t, std::function<cudaError_t()>>> calls = {
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(a_.stream); }},
      {cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamQuery(a_.stream); }},
      {cudaErrorStreamCaptureUnsupported, [] { return cudaDeviceSynchronize(); }},
      {cudaErrorCapturedEvent, [&] { return cudaEventQuery(recorded()); }},
      {cudaErrorCapturedEvent, [&] { return cudaEventSynchronize(recorded()); }},
      {cudaErrorStreamCaptureIsolation,
       [&] { return cudaStreamWaitEvent(a_.stream, before.event); }},
      {cudaErrorStreamCaptureImplicit, [&] { return cudaStreamWaitEvent(nullptr, recorded()); }},
      {cudaErrorStreamCaptureUnsupported,
       [&] {
         return cudaMemcpyAsync(value.get(), &pageable, 4, cudaMemcpyHostToDevice, a_.stream);
       }},
      {cudaErrorStreamCaptureUnmatched,
       [&] {
         cudaGraph_t graph = nullptr;
         EXPECT_CUDA(cudaStreamWaitEvent(b_.stream, recorded()));
         return cudaStreamEndCapture(b_.stream, &graph);
       }},
  };
  for (const auto mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeRelaxed}) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(during(mode, calls[i].second),
                Errors(calls[i].first, cudaErrorStreamCaptureInvalidated))
          << "call " << i;
    }
  }
  EXPECT_EQ(during(cudaStreamCaptureModeRelaxed,
                   [&] {
                     cudaStreamSynchronize(a_.stream);
                     return set_on(a_.stream, value.get(), 1);
                   }),
            Errors(cudaErrorStreamCaptureInvalidated, cudaErrorStreamCaptureInvalidated));
  float ms = 0;
  EXPECT_EQ(cudaEventElapsedTime(&ms, forked_.event, forked_.event), cudaErrorCapturedEvent);
  EXPECT_CUDA(cudaEventRecord(forked_.event, b_.stream));  // usual again
  EXPECT_CUDA(cudaEventSynchronize(forked_.event));
}

/// Calls that are wrong unless the capture, or the thread, is relaxed.
TEST_F(Graphs, what_may_be_unsafe_needs_a_relaxed_capture) {
  void *memory = nullptr, *pinned = nullptr;
  const Values<int> value(1);
  const std::vector<std::function<cudaError_t()>> calls = {
      [&] { return cudaMalloc(&memory, 4); },
      [&] { return cudaFree(memory); },
      [&] { return cudaMallocHost(&pinned, 4); },
      [&] { return cudaFreeHost(pinned); },
      [&] { return cudaStreamSynchronize(b_.stream); },
      [&] { return cudaStreamQuery(b_.stream); },
      [&] { return cudaEventQuery(other_.event); },
      [&] { return cudaEventSynchronize(other_.event); },
      [&] {
        int host = 0;
        return cudaMemcpy(value.get(), &host, 4, cudaMemcpyHostToDevice);
      },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const auto mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal}) {
      EXPECT_EQ(during(mode, calls[i]),
                Errors(cudaErrorStreamCaptureUnsupported, cudaErrorStreamCaptureInvalidated))
          << "call " << i;
    }
    EXPECT_EQ(during(cudaStreamCaptureModeRelaxed, calls[i]), Errors(cudaSuccess, cudaSuccess))
        << "call " << i;
  }
  EXPECT_EQ(during(cudaStreamCaptureModeGlobal,
                   [&] {
                     auto mode = cudaStreamCaptureModeRelaxed;
                     EXPECT_CUDA(cudaThreadExchangeStreamCaptureMode(&mode));
                     EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);
                     const auto error = cudaStreamQuery(b_.stream);
                     EXPECT_CUDA(cudaThreadExchangeStreamCaptureMode(&mode));
                     return error;
                   }),
            Errors(cudaSuccess, cudaSuccess));
}

TEST_F(Graphs, the_default_stream_is_unusable_while_a_blocking_stream_captures) {
  const TestStream blocking(cudaStreamDefault);
  const Values<int> value(1);
  cudaGraph_t graph = nullptr;
  auto status = cudaStreamCaptureStatusNone;
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
            cudaErrorStreamCaptureUnsupported);
  EXPECT_CUDA(cudaStreamBeginCapture(blocking.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamIsCapturing(nullptr, &status), cudaErrorStreamCaptureImplicit);
  EXPECT_CUDA(cudaStreamIsCapturing(blocking.stream, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);  // asking is allowed
  EXPECT_EQ(set_on(nullptr, value.get(), 1), cudaErrorStreamCaptureImplicit);
  EXPECT_CUDA(cudaStreamIsCapturing(blocking.stream, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(blocking.stream, &graph), cudaErrorStreamCaptureInvalidated);
  // A stream that is not blocking has nothing to do with it.
  EXPECT_EQ(during(cudaStreamCaptureModeGlobal, [&] { return set_on(nullptr, value.get(), 1); }),
            Errors(cudaSuccess, cudaSuccess));
  EXPECT_EQ(value.read()[0], 1);
}

TEST_F(Graphs, two_captures_stay_apart_and_a_capture_says_what_it_is) {
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamBeginCapture(a_.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_CUDA(cudaStreamBeginCapture(b_.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamBeginCapture(b_.stream, cudaStreamCaptureModeRelaxed), cudaErrorIllegalState);
  unsigned long long first = 0, second = 0;
  auto status = cudaStreamCaptureStatusNone;
  EXPECT_CUDA(cudaStreamGetCaptureInfo(a_.stream, &status, &first));
  EXPECT_CUDA(cudaStreamGetCaptureInfo(b_.stream, &status, &second));
  EXPECT_NE(first, second);
  EXPECT_CUDA(cudaEventRecord(other_.event, b_.stream));
  EXPECT_EQ(cudaStreamWaitEvent(a_.stream, other_.event), cudaErrorStreamCaptureMerge);
  for (const cudaStream_t stream : {a_.stream, b_.stream}) {
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  }
  EXPECT_EQ(cudaStreamWaitEvent(a_.stream, other_.event), cudaErrorCapturedEvent);
  {
    const TestStream gone;
    EXPECT_CUDA(cudaStreamBeginCapture(gone.stream, cudaStreamCaptureModeGlobal));
  }
  EXPECT_CUDA(cudaDeviceSynchronize());
}

TEST_F(Graphs, products_take_scales_at_the_capture_and_addresses_at_the_launch) {
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const Values<float> x(std::vector<float>{2}), y(std::vector<float>{3}), z(std::vector<float>{5}),
      out(1);
  const Values<char> workspace(1024);
  const Values<const void*> from(std::vector<const void*>{x.get()}),
      to(std::vector<const void*>{y.get()});
  const Values<void*> results(std::vector<void*>{out.get()});
  float alpha = 10, beta = 0;
  const auto multiply = [&] {
    const auto op = CUBLAS_OP_N;
    const int one = 1;
    EXPECT_EQ(
        cublasGemmGroupedBatchedEx(handle, &op, &op, &one, &one, &one, &alpha, from.get(),
                                   CUDA_R_32F, &one, to.get(), CUDA_R_32F, &one, &beta,
                                   results.get(), CUDA_R_32F, &one, 1, &one, CUBLAS_COMPUTE_32F),
        CUBLAS_STATUS_SUCCESS);
  };
  EXPECT_EQ(cublasSetStream(handle, a_.stream), CUBLAS_STATUS_SUCCESS);
  EXPECT_CUDA(cudaGraphDestroy(capture(multiply)));
  EXPECT_EQ(counters().graph_allocations, 1);  // of the pool's memory: bad for a measured step
  EXPECT_EQ(cublasSetWorkspace(handle, workspace.get(), 1024), CUBLAS_STATUS_SUCCESS);
  const Executable executable(capture(multiply));
  EXPECT_EQ(counters().graph_allocations, 1);
  alpha = 100;
  const void* other = z.get();
  EXPECT_CUDA(cudaMemcpy(to.get(), &other, sizeof(other), cudaMemcpyHostToDevice));
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(out.read()[0], 100.0F);
  EXPECT_EQ(counters().graph_products, 1);
  EXPECT_EQ(counters().gemm_calls, 0);
  EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

TEST_F(Graphs, wrong_handles_flags_and_planted_faults_are_errors) {
  cudaGraphExec_t executable = nullptr;
  EXPECT_EQ(cudaGraphInstantiate(&executable, nullptr, 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphLaunch(executable, a_.stream), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphDestroy(nullptr), cudaErrorInvalidValue);
  auto* graph = capture([] {});
  EXPECT_EQ(cudaGraphInstantiate(&executable, graph, cudaGraphInstantiateFlagDeviceLaunch),
            cudaErrorInvalidValue);
  const Executable empty(graph);
  EXPECT_CUDA(cudaGraphLaunch(empty.graph, a_.stream));
  EXPECT_EQ(
      during(cudaStreamCaptureModeRelaxed, [&] { return cudaGraphLaunch(empty.graph, a_.stream); }),
      Errors(cudaErrorStreamCaptureUnsupported, cudaErrorStreamCaptureInvalidated));
  set("FAULT", "cudaGraphLaunch:2:999,cudaStreamEndCapture:1:901");
  EXPECT_CUDA(cudaGraphLaunch(empty.graph, a_.stream));
  EXPECT_EQ(cudaGraphLaunch(empty.graph, a_.stream), cudaErrorUnknown);
  EXPECT_CUDA(cudaStreamBeginCapture(a_.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamEndCapture(a_.stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  EXPECT_CUDA(cudaStreamEndCapture(a_.stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace gembench::simulation
