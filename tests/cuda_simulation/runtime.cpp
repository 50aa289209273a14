// Streams, events, launches, errors.

#include "tests/cuda_simulation/runtime.hpp"

#include <cuda_runtime_api.h>
#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/cuda_simulation/block.hpp"
#include "tests/cuda_simulation/capture.hpp"
#include "tests/cuda_simulation/clock.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"

namespace gembench::simulation {
namespace {

constexpr std::size_t kSharedWithoutAsking = std::size_t{48} << 10;
constexpr std::size_t kSharedAtMost = std::size_t{227} << 10;

struct KernelInfo {
  Bind bind = nullptr;
  std::size_t shared_allowed = kSharedWithoutAsking;  // dynamic, cudaFuncSetAttribute raises it
};

struct State {
  cudaError_t last = cudaSuccess, broken = cudaSuccess;
  CUstream_st default_stream;
  std::set<CUstream_st*> streams;
  std::set<CUevent_st*> events;
  std::map<const void*, KernelInfo> kernels;
};

State& state() {
  static State the_state = [] {
    State made;
    made.default_stream.queue = Scheduler::instance().make_queue();
    return made;
  }();
  return the_state;
}

std::string name_of(const void* kernel) {
  Dl_info info{};
  if (dladdr(kernel, &info) == 0 || !info.dli_sname || info.dli_saddr != kernel) {
    return "(not exported)";
  }
  int status = 0;
  char* readable = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  std::string name = readable ? readable : info.dli_sname;
  std::free(readable);
  return name;
}

bool fits_device(const cudaLaunchConfig_t& config) {
  constexpr unsigned kMaxX = 0x7FFFFFFFU, kMaxOther = 65535, kMaxThreadsZ = 64;
  const dim3 grid = config.gridDim, block = config.blockDim;
  const auto threads = std::size_t{block.x} * block.y * block.z;
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= kMaxX && grid.y <= kMaxOther &&
         grid.z <= kMaxOther && threads >= 1 && threads <= kMaxThreads && block.z <= kMaxThreadsZ;
}

}  // namespace

Run with_fault(Run run) {
  return [run = std::move(run)] {
    if (state().broken != cudaSuccess) return Progress::done;  // nothing runs any more
    const Progress progress = run();
    if (progress == Progress::done) {
      if (const int code = injected_fault("execution")) {
        break_context(static_cast<cudaError_t>(code));
      }
    }
    return progress;
  };
}

cudaError_t failed(cudaError_t error) {
  state().last = error;
  return error;
}

cudaError_t enter(const char* name) {
  const int fault = injected_fault(name);
  return fault != 0 ? static_cast<cudaError_t>(fault) : state().broken;
}

void break_context(cudaError_t error) {
  state().broken = error;
}

cudaError_t context_error() {
  return state().broken == cudaSuccess ? cudaSuccess : failed(state().broken);
}

void register_kernel(const void* kernel, Bind bind) {
  state().kernels[kernel].bind = bind;
}

CUstream_st* find_stream(cudaStream_t stream) {
  if (!stream || stream == cudaStreamLegacy) return &state().default_stream;
  return state().streams.contains(stream) ? stream : nullptr;
}

Ticket enqueue_on(CUstream_st& stream, const char* what, Run run) {
  auto& scheduler = Scheduler::instance();
  if (&stream == &state().default_stream) {
    for (const CUstream_st* other : state().streams) {
      if (other->blocking) scheduler.enqueue_wait(stream.queue, Scheduler::last(other->queue));
    }
  } else if (stream.blocking) {
    scheduler.enqueue_wait(stream.queue, Scheduler::last(state().default_stream.queue));
  }
  return scheduler.enqueue(stream.queue, what, with_fault(std::move(run)));
}

namespace {

/// A host wait that may be, with what it finds out.
cudaError_t synchronize(const Ticket* ticket) {
  ++counters().synchronizations;
  if (ticket) {
    Scheduler::instance().wait_for(*ticket);
  } else {
    Scheduler::instance().wait_for_all();
  }
  Memory::check_guards();
  return context_error();
}

cudaError_t query(const Ticket& ticket) {
  ++counters().queries;
  Scheduler::instance().poll(ticket);
  if (state().broken != cudaSuccess) return failed(state().broken);
  return ticket.done() ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace
}  // namespace gembench::simulation

using namespace gembench::simulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* to, unsigned flags) {
  if (const auto error = enter("cudaStreamCreateWithFlags")) return failed(error);
  auto* stream = new CUstream_st{Scheduler::instance().make_queue(),
                                 (flags & cudaStreamNonBlocking) == 0, current_device()};
  state().streams.insert(stream);
  *to = stream;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (const auto error = enter("cudaStreamDestroy")) return failed(error);
  if (state().streams.erase(stream) == 0) return failed(cudaErrorInvalidResourceHandle);
  leave_capture(*stream);
  delete stream;  // its queue lives on until its work is done
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (const auto error =
          enter_wait("cudaStreamSynchronize", found->capture, cudaErrorStreamCaptureUnsupported)) {
    return failed(error);
  }
  const Ticket ticket = Scheduler::last(found->queue);
  return synchronize(&ticket);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (const auto error =
          enter_wait("cudaStreamQuery", found->capture, cudaErrorStreamCaptureUnsupported)) {
    return failed(error);
  }
  return query(Scheduler::last(found->queue));
}

cudaError_t cudaDeviceSynchronize() {
  if (const auto error = enter_device_wait("cudaDeviceSynchronize")) return failed(error);
  return synchronize(nullptr);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (const auto error = enter("cudaStreamWaitEvent")) return failed(error);
  auto* found = find_stream(stream);
  if (!found || !state().events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  if (flags != cudaEventWaitDefault) return failed(cudaErrorNotSupported);  // not simulated
  if (const auto done = wait_in_capture(*found, *event); done != cudaErrorNotReady) return done;
  ++counters().event_waits;
  Scheduler::instance().enqueue_wait(found->queue, event->ticket);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* to, unsigned flags) {
  if (const auto error = enter("cudaEventCreateWithFlags")) return failed(error);
  *to = new CUevent_st{(flags & cudaEventDisableTiming) == 0, {}, nullptr};
  state().events.insert(*to);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* to) {
  if (const auto error = enter("cudaEventCreate")) return failed(error);
  return cudaEventCreateWithFlags(to, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (const auto error = enter("cudaEventDestroy")) return failed(error);
  if (state().events.erase(event) == 0) return failed(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const auto error = enter("cudaEventRecord")) return failed(error);
  auto* found = find_stream(stream);
  if (!found || !state().events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  if (const auto done = record_in_capture(*event, *found); done != cudaErrorNotReady) return done;
  ++counters().event_records;
  // On a stream without work it happens now, however late the host waits.
  const bool at_once = Scheduler::last(found->queue).done();
  auto time = std::make_shared<double>(event_time());
  event->time = time;
  event->ticket = enqueue_on(*found, "event record", [time, at_once] {
    if (!at_once) *time = event_time();
    return Progress::done;
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (!state().events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  if (const auto error =
          enter_wait("cudaEventSynchronize", event->capture, cudaErrorCapturedEvent)) {
    return failed(error);
  }
  const Ticket ticket = event->ticket;
  return synchronize(&ticket);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (!state().events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  if (const auto error = enter_wait("cudaEventQuery", event->capture, cudaErrorCapturedEvent)) {
    return failed(error);
  }
  return query(Ticket(event->ticket));
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (const auto error = enter("cudaEventElapsedTime")) return failed(error);
  for (const cudaEvent_t event : {from, to}) {
    if (state().events.contains(event) && event->capture) return failed(cudaErrorCapturedEvent);
    if (!state().events.contains(event) || !event->timed || !event->time) {
      return failed(cudaErrorInvalidResourceHandle);
    }
  }
  if (!from->ticket.done() || !to->ticket.done()) return cudaErrorNotReady;
  constexpr double kMilliseconds = 1e3;
  *milliseconds = static_cast<float>((*to->time - *from->time) * kMilliseconds);
  return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel,
                                void** arguments) {
  if (const auto error = enter("cudaLaunchKernelExC")) return failed(error);
  const auto place = state().kernels.find(kernel);
  if (place == state().kernels.end() || !place->second.bind) {
    return failed(cudaErrorInvalidDeviceFunction);
  }
  if (!fits_device(*config)) return failed(cudaErrorInvalidConfiguration);
  if (config->dynamicSmemBytes > place->second.shared_allowed) {
    return failed(cudaErrorInvalidValue);
  }
  auto* stream = find_stream(config->stream);
  if (!stream || (stream != &state().default_stream && stream->device != current_device())) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  if (first_use("kernel " + std::to_string(reinterpret_cast<std::uintptr_t>(kernel)))) {
    ++counters().first_uses;
  }
  const auto grid =
      std::make_shared<Grid>(Grid{config->gridDim, config->blockDim, config->dynamicSmemBytes,
                                  place->second.bind(kernel, arguments), name_of(kernel)});
  const auto run = [grid] {
    run_grid(*grid);
    return Progress::done;
  };
  return put_on(*stream, {Kind::kernel, "kernel", [run] { return run; }});
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (const auto error = enter("cudaFuncSetAttribute")) return failed(error);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) > kSharedAtMost) {
    return failed(cudaErrorInvalidValue);
  }
  state().kernels[kernel].shared_allowed = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* /*kernel*/,
                                                          int threads, std::size_t shared_bytes) {
  if (const auto error = enter("cudaOccupancyMaxActiveBlocksPerMultiprocessor")) {
    return failed(error);
  }
  constexpr int kThreads = 2048, kBlocks = 32;
  if (threads < 1) return failed(cudaErrorInvalidValue);
  *blocks = threads > static_cast<int>(kMaxThreads) ? 0 : std::min(kBlocks, kThreads / threads);
  if (shared_bytes > 0) *blocks = std::min(*blocks, static_cast<int>(kSharedAtMost / shared_bytes));
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  state().last = state().broken;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  return state().last;
}
