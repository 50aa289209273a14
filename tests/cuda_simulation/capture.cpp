// Stream capture: its begin and end, which streams take part, and what it does not allow.

#include "tests/cuda_simulation/capture.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "tests/cuda_simulation/clock.hpp"

namespace gembench::simulation {
namespace {

/// Those that have not ended.
std::vector<std::shared_ptr<Capture>>& captures() {
  static std::vector<std::shared_ptr<Capture>> under_way;
  return under_way;
}

cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

bool is_legacy(const CUstream_st& stream) {
  return &stream == find_stream(nullptr);
}

/// The default stream stands for all blocking ones, and so for what they capture.
cudaError_t legacy_conflict(const CUstream_st& stream, bool ask_only) {
  if (!is_legacy(stream)) return cudaSuccess;
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures()) {
    const bool blocking = std::any_of(capture->streams.begin(), capture->streams.end(),
                                      [](const CUstream_st* each) { return each->blocking; });
    if (!blocking) continue;
    error = cudaErrorStreamCaptureImplicit;
    if (!ask_only) invalidate(*capture);
  }
  return error;
}

void add_to(std::vector<CUgraphNode_st*>& tail, const std::vector<CUgraphNode_st*>& more) {
  for (CUgraphNode_st* node : more) {
    if (std::find(tail.begin(), tail.end(), node) == tail.end()) tail.push_back(node);
  }
}

void join(CUstream_st& stream, const std::shared_ptr<Capture>& capture,
          const std::vector<CUgraphNode_st*>& after) {
  stream.capture = capture;
  capture->streams.insert(&stream);
  add_to(stream.tail, after);
}

void record(CUstream_st& stream, Task task) {
  auto& nodes = stream.capture->graph->nodes;
  std::vector<std::size_t> after;
  for (const CUgraphNode_st* node : stream.tail) after.push_back(node->number);
  std::sort(after.begin(), after.end());
  nodes.push_back({std::move(task), nodes.size(), std::move(after)});
  stream.tail = {&nodes.back()};
  ++counters().captured_calls;
}

/// Whether the origin waits for everything that was captured.
bool joined(const Capture& capture) {
  const auto& nodes = capture.graph->nodes;
  std::vector<bool> reached(nodes.size(), false);
  for (const CUgraphNode_st* node : capture.origin->tail) reached[node->number] = true;
  for (std::size_t n = nodes.size(); n-- > 0;) {
    if (!reached[n]) return false;
    for (const std::size_t before : nodes[n].after) reached[before] = true;
  }
  return true;
}

void end(Capture& capture) {
  for (CUstream_st* stream : capture.streams) {
    stream->capture = nullptr;
    stream->tail.clear();
  }
  capture.streams.clear();
  capture.status = cudaStreamCaptureStatusNone;
  std::erase_if(captures(), [&](const auto& each) { return each.get() == &capture; });
}

}  // namespace

cudaError_t check_legacy(const CUstream_st& stream) {
  return legacy_conflict(stream, false);
}

void invalidate(Capture& capture) {
  if (capture.status == cudaStreamCaptureStatusActive) {
    capture.status = cudaStreamCaptureStatusInvalidated;
  }
}

cudaError_t refuse(Capture& capture, cudaError_t error) {
  const bool active = capture.status == cudaStreamCaptureStatusActive;
  invalidate(capture);
  return failed(active || error == cudaErrorCapturedEvent ? error
                                                          : cudaErrorStreamCaptureInvalidated);
}

cudaError_t put_on(CUstream_st& stream, Task task, Ticket* ticket) {
  if (const auto error = check_legacy(stream)) return failed(error);
  if (stream.capture) {
    if (stream.capture->status != cudaStreamCaptureStatusActive) {
      return failed(cudaErrorStreamCaptureInvalidated);
    }
    record(stream, std::move(task));
    return cudaSuccess;
  }
  ++(counters().*info_of(task.kind).by_calls);
  const Ticket put = enqueue_on(stream, task.what, with_time(task.make()));
  if (ticket) *ticket = put;
  return cudaSuccess;
}

void order_after(CUstream_st& stream, CUstream_st& other) {
  if (stream.capture) {
    add_to(stream.tail, other.tail);
  } else {
    Scheduler::instance().enqueue_wait(stream.queue, Scheduler::last(other.queue));
  }
}

cudaError_t enter_unsafe(const char* name) {
  if (const auto error = enter(name)) return error;
  if (mode_of_thread == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures()) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    invalidate(*capture);
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t enter_wait(const char* name, const std::shared_ptr<Capture>& capture,
                       cudaError_t refusal) {
  if (!capture) return enter_unsafe(name);
  if (const auto error = enter(name)) return error;
  return refuse(*capture, refusal);
}

cudaError_t enter_device_wait(const char* name) {
  if (const auto error = enter(name)) return error;
  for (const auto& capture : captures()) invalidate(*capture);
  return captures().empty() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t record_in_capture(CUevent_st& event, CUstream_st& stream) {
  if (const auto error = check_legacy(stream)) return failed(error);
  event.capture = stream.capture;
  if (!stream.capture) return cudaErrorNotReady;
  if (stream.capture->status != cudaStreamCaptureStatusActive) {
    return failed(cudaErrorStreamCaptureInvalidated);
  }
  event.ticket = {};
  event.time = nullptr;
  event.after = stream.tail;
  ++counters().captured_calls;
  return cudaSuccess;
}

cudaError_t wait_in_capture(CUstream_st& stream, const CUevent_st& event) {
  if (const auto error = check_legacy(stream)) return failed(error);
  if (!stream.capture && !event.capture) return cudaErrorNotReady;
  if (stream.capture && stream.capture->status != cudaStreamCaptureStatusActive) {
    return failed(cudaErrorStreamCaptureInvalidated);
  }
  const bool ended = !event.capture || event.capture->status == cudaStreamCaptureStatusNone;
  if (stream.capture && ended) return refuse(*stream.capture, cudaErrorStreamCaptureIsolation);
  if (ended) return failed(cudaErrorCapturedEvent);
  if (event.capture->status != cudaStreamCaptureStatusActive) {
    return failed(cudaErrorStreamCaptureInvalidated);
  }
  if (stream.capture && stream.capture != event.capture) {
    invalidate(*event.capture);
    return refuse(*stream.capture, cudaErrorStreamCaptureMerge);
  }
  if (is_legacy(stream)) return refuse(*event.capture, cudaErrorStreamCaptureImplicit);
  join(stream, event.capture, event.after);
  ++counters().captured_calls;
  return cudaSuccess;
}

void leave_capture(CUstream_st& stream) {
  const auto capture = stream.capture;
  if (!capture) return;
  invalidate(*capture);
  capture->streams.erase(&stream);
  if (capture->origin == &stream) end(*capture);
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const auto error = enter("cudaStreamBeginCapture")) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (is_legacy(*found)) return failed(cudaErrorStreamCaptureUnsupported);
  if (mode < cudaStreamCaptureModeGlobal || mode > cudaStreamCaptureModeRelaxed) {
    return failed(cudaErrorInvalidValue);
  }
  if (found->capture) return failed(cudaErrorIllegalState);
  static unsigned long long begun = 0;
  auto capture = std::make_shared<Capture>();
  capture->id = ++begun;
  capture->mode = mode;
  capture->origin = found;
  join(*found, capture, {});
  captures().push_back(std::move(capture));
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* to) {
  if (to) *to = nullptr;
  if (const auto error = enter("cudaStreamEndCapture")) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (!to) return failed(cudaErrorInvalidValue);
  const auto capture = found->capture;
  if (!capture) return failed(cudaErrorIllegalState);
  if (capture->origin != found) return refuse(*capture, cudaErrorStreamCaptureUnmatched);
  cudaError_t error = cudaSuccess;
  if (capture->status != cudaStreamCaptureStatusActive) {
    error = cudaErrorStreamCaptureInvalidated;
  } else if (!joined(*capture)) {
    error = cudaErrorStreamCaptureUnjoined;
  }
  end(*capture);
  if (error != cudaSuccess) return failed(error);
  *to = adopt(std::move(capture->graph));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  if (const auto error = enter("cudaStreamIsCapturing")) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (!status) return failed(cudaErrorInvalidValue);
  if (const auto error = legacy_conflict(*found, true)) return failed(error);
  *status = found->capture ? found->capture->status : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

#if CUDART_VERSION >= 13000  // others have other parameters
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** after, const cudaGraphEdgeData** edges,
                                     std::size_t* count) {
  if (const auto error = cudaStreamIsCapturing(stream, status)) return error;
  if (*status != cudaStreamCaptureStatusActive) return cudaSuccess;
  const CUstream_st& found = *find_stream(stream);
  if (id) *id = found.capture->id;
  if (graph) *graph = found.capture->graph.get();
  if (after) *after = found.tail.data();
  if (edges) *edges = nullptr;
  if (count) *count = found.tail.size();
  return cudaSuccess;
}
#endif

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  if (const auto error = enter("cudaThreadExchangeStreamCaptureMode")) return failed(error);
  if (!mode || *mode < cudaStreamCaptureModeGlobal || *mode > cudaStreamCaptureModeRelaxed) {
    return failed(cudaErrorInvalidValue);
  }
  std::swap(*mode, mode_of_thread);
  return cudaSuccess;
}
