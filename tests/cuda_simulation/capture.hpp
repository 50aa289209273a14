#pragma once

#include <driver_types.h>

#include <memory>
#include <set>

#include "tests/cuda_simulation/graph.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::simulation {

/// Calls on some streams that become a graph: between cudaStreamBeginCapture and its end. Streams
/// and events that take part hold it.
struct Capture {
  unsigned long long id = 0;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;  // none: it has ended
  CUstream_st* origin = nullptr;
  std::set<CUstream_st*> streams;  // the origin, and those that forked from it
  std::unique_ptr<CUgraph_st> graph = std::make_unique<CUgraph_st>();
};

/// Puts the work on a stream, or records it where the stream captures. `ticket` is of the work,
/// and untouched by a capture.
cudaError_t put_on(CUstream_st& stream, Task task, Ticket* ticket = nullptr);

/// What comes on `stream` from now on runs after what is on `other` now. Both capture the same
/// graph, or none.
void order_after(CUstream_st& stream, CUstream_st& other);

/// As enter(), for calls that may be unsafe during a capture: all but relaxed ones refuse them, and
/// are invalid then.
cudaError_t enter_unsafe(const char* name);

/// As enter_unsafe(), for calls that wait for a stream or event, or ask for its state: one of a
/// capture (null: none) has none.
cudaError_t enter_wait(const char* name, const std::shared_ptr<Capture>& capture,
                       cudaError_t refusal);

/// As enter(), for calls that wait for the whole device: no capture may be under way.
cudaError_t enter_device_wait(const char* name);

/// Refuses work on the default stream while a blocking stream captures, which is invalid then.
cudaError_t check_legacy(const CUstream_st& stream);

/// Nothing but its end may follow.
void invalidate(Capture& capture);
/// Why a call that the capture must not contain fails; the capture is invalid afterwards.
cudaError_t refuse(Capture& capture, cudaError_t error);

/// Events of captures: both change nothing and return cudaErrorNotReady where no capture takes
/// part.
cudaError_t record_in_capture(CUevent_st& event, CUstream_st& stream);
cudaError_t wait_in_capture(CUstream_st& stream, const CUevent_st& event);

/// The stream ends: so does what it captures.
void leave_capture(CUstream_st& stream);

}  // namespace gembench::simulation
