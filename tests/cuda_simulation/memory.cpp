// Device and pinned memory, copies.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/cuda_simulation/block.hpp"
#include "tests/cuda_simulation/capture.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::simulation {
namespace {

struct Block {
  std::size_t bytes;
  Space space;
  int device;
};

std::map<const char*, Block>& blocks() {
  static std::map<const char*, Block> the_blocks;
  return the_blocks;
}

/// The block that `at` lies in, or the end. A pointer just behind a block is in none.
std::map<const char*, Block>::const_iterator find(const void* at) {
  const auto* byte = static_cast<const char*>(at);
  auto place = blocks().upper_bound(byte);
  if (place == blocks().begin()) return blocks().end();
  --place;
  return byte < place->first + place->second.bytes ? place : blocks().end();
}

/// Junk, to find reads of uninitialised memory; junk behind it, to find writes beyond the end. Of a
/// large block only the begin: tests have no data of that size, and cuBLAS's workspaces, which
/// nothing reads, would take most of their time.
void* allocate(std::size_t bytes, Space space) {
  constexpr std::size_t kAlignment = 256;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + kGuardBytes) != 0) return nullptr;
  constexpr std::size_t kLarge = std::size_t{32} << 20, kBegin = std::size_t{1} << 20;
  std::memset(memory, kJunkByte, bytes < kLarge ? bytes : kBegin);
  std::memset(static_cast<char*>(memory) + bytes, kJunkByte, kGuardBytes);
  blocks()[static_cast<char*>(memory)] = {bytes, space, current_device()};
  return memory;
}

void check_guard(const char* begin, const Block& block) {
  const auto* guard = reinterpret_cast<const unsigned char*>(begin) + block.bytes;
  if (std::all_of(guard, guard + kGuardBytes,
                  [](unsigned char byte) { return byte == kJunkByte; })) {
    return;
  }
  say("something wrote past the end of " + std::to_string(block.bytes) + " bytes of " +
      (block.space == Space::device ? "device" : "pinned") + " memory");
  std::abort();
}

std::size_t used_bytes(int device) {
  std::size_t sum = 0;
  for (const auto& [begin, block] : blocks()) {
    if (block.space == Space::device && block.device == device) sum += block.bytes;
  }
  return sum;
}

/// As cudaFree and cudaFreeHost do: after everything that was queued.
cudaError_t release(void* memory, Space space) {
  if (!memory) return cudaSuccess;
  Scheduler::instance().wait_for_all();
  const auto place = blocks().find(static_cast<const char*>(memory));
  if (place == blocks().end() || place->second.space != space) {
    return failed(cudaErrorInvalidValue);
  }
  check_guard(place->first, place->second);
  ++counters().frees;
  if (space == Space::device)
    counters().live_bytes -= static_cast<std::int64_t>(place->second.bytes);
  blocks().erase(place);
  std::free(memory);
  return cudaSuccess;
}

bool fits_kind(cudaMemcpyKind kind, Space to, Space from) {
  const bool to_device = to == Space::device, from_device = from == Space::device;
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

/// Checks of every copy.
cudaError_t check_copy(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return cudaSuccess;
  if (!to || !from || Memory::overruns(to, bytes) || Memory::overruns(from, bytes) ||
      !fits_kind(kind, Memory::space_of(to, bytes), Memory::space_of(from, bytes))) {
    return failed(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

/// Memory that `from` points to is read when the copy runs; `staged` holds it where it is not null.
Task copy_task(void* to, const void* from, std::size_t bytes,
               const std::shared_ptr<std::vector<char>>& staged = nullptr) {
  const int memory = static_cast<int>(Memory::space_of(to, bytes)) * 4 +
                     static_cast<int>(Memory::space_of(from, bytes));
  const auto make = [=]() -> Run {
    counters().copied_bytes += static_cast<std::int64_t>(bytes);
    return [=] {
      std::memmove(to, staged ? staged->data() : from, bytes);
      return Progress::done;
    };
  };
  return {Kind::copy, "copy", make, memory};
}

}  // namespace

Space Memory::space_of(const void* at, std::size_t bytes) {
  const auto place = find(at);
  return place == blocks().end() || overruns(at, bytes) ? Space::pageable : place->second.space;
}

bool Memory::overruns(const void* at, std::size_t bytes) {
  const auto place = find(at);
  if (place == blocks().end()) return false;
  const auto* end = place->first + place->second.bytes;
  return bytes > static_cast<std::size_t>(end - static_cast<const char*>(at));
}

void Memory::check_guards() {
  for (const auto& [begin, block] : blocks()) check_guard(begin, block);
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

cudaError_t cudaMalloc(void** to, std::size_t bytes) {
  if (const auto error = enter_unsafe("cudaMalloc")) return failed(error);
  *to = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (used_bytes(current_device()) + bytes > settings().memory) {
    return failed(cudaErrorMemoryAllocation);
  }
  *to = allocate(bytes, Space::device);
  if (!*to) return failed(cudaErrorMemoryAllocation);
  auto& count = counters();
  ++count.allocations;
  count.live_bytes += static_cast<std::int64_t>(bytes);
  count.peak_bytes = std::max(count.peak_bytes, count.live_bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (const auto error = enter_unsafe("cudaFree")) return failed(error);
  return release(memory, Space::device);
}

cudaError_t cudaHostAlloc(void** to, std::size_t bytes, unsigned /*flags*/) {
  if (const auto error = enter_unsafe("cudaHostAlloc")) return failed(error);
  ++counters().host_allocations;
  *to = bytes == 0 ? nullptr : allocate(bytes, Space::pinned);
  return *to || bytes == 0 ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

cudaError_t cudaMallocHost(void** to, std::size_t bytes) {
  if (const auto error = enter_unsafe("cudaMallocHost")) return failed(error);
  return cudaHostAlloc(to, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* memory) {
  if (const auto error = enter_unsafe("cudaFreeHost")) return failed(error);
  return release(memory, Space::pinned);
}

cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  if (const auto error = enter("cudaMemGetInfo")) return failed(error);
  *total = settings().memory;
  *available = *total - std::min(*total, used_bytes(current_device()));
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (const auto error = enter("cudaMemcpyAsync")) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (const auto error = check_copy(to, from, bytes, kind)) return error;
  if (bytes == 0) return cudaSuccess;
  const bool pageable_from = Memory::space_of(from, bytes) == Space::pageable;
  const bool pageable_to = Memory::space_of(to, bytes) == Space::pageable;
  if (pageable_from || pageable_to) {
    if (found->capture) return refuse(*found->capture, cudaErrorStreamCaptureUnsupported);
    ++counters().pageable_copies;
  }
  std::shared_ptr<std::vector<char>> staged;
  if (pageable_from) {
    // Staged before the call returns: the caller may reuse its memory at once.
    const auto* begin = static_cast<const char*>(from);
    staged = std::make_shared<std::vector<char>>(begin, begin + bytes);
  }
  Ticket ticket;
  if (const auto error = put_on(*found, copy_task(to, from, bytes, staged), &ticket)) return error;
  if (pageable_to) Scheduler::instance().wait_for(ticket);  // returns when the copy is complete
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const auto error = enter_unsafe("cudaMemcpy")) return failed(error);
  if (const auto error = check_copy(to, from, bytes, kind)) return error;
  if (bytes == 0) return cudaSuccess;
  Ticket ticket;
  if (const auto error = put_on(*find_stream(nullptr), copy_task(to, from, bytes), &ticket)) {
    return error;
  }
  ++counters().synchronizations;
  Scheduler::instance().wait_for(ticket);
  return context_error();
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (const auto error = enter("cudaMemsetAsync")) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  if (Memory::space_of(to, bytes) != Space::device) return failed(cudaErrorInvalidValue);
  const auto run = [=] {
    std::memset(to, value, bytes);
    return Progress::done;
  };
  return put_on(*found, {Kind::set, "memset", [run] { return run; }});
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (const auto error = enter("cudaMemset")) return failed(error);
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
