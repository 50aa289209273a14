// Stream capture: which streams take part, and what it refuses.

#include "tests/cuda_simulation/graph_for_tests.hpp"

namespace gembench::simulation {
namespace {

class Captures : public GraphTest {};

TEST_F(Captures, a_fork_that_does_not_join_is_no_graph) {
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
TEST_F(Captures, what_conflicts_with_a_capture_makes_it_invalid) {
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
TEST_F(Captures, what_may_be_unsafe_needs_a_relaxed_capture) {
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

TEST_F(Captures, the_default_stream_is_unusable_while_a_blocking_stream_captures) {
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

TEST_F(Captures, two_captures_stay_apart_and_a_capture_says_what_it_is) {
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

}  // namespace
}  // namespace gembench::simulation
