#pragma once

#include <driver_types.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "tests/cuda_simulation/queue.hpp"

namespace gembench::simulation {
struct Capture;
}

/// What the runtime's opaque handles point to.
struct CUstream_st {
  std::shared_ptr<gembench::simulation::Queue> queue;
  bool blocking = true;  // waits for the default stream, and that for it
  int device = 0;
  std::shared_ptr<gembench::simulation::Capture> capture = nullptr;  // that it takes part in
  std::vector<CUgraphNode_st*> tail = {};  // what its next work in there runs after
};
struct CUevent_st {
  bool timed = true;
  gembench::simulation::Ticket ticket;
  std::shared_ptr<double> time;  // s when the last record ran; none: never recorded
  std::shared_ptr<gembench::simulation::Capture> capture = nullptr;  // of the last record, if any
  std::vector<CUgraphNode_st*> after = {};                           // what it stands for in there
};

namespace gembench::simulation {

enum class Space : unsigned char { pageable, pinned, device };

/// Registry of what cudaMalloc and cudaMallocHost gave out.
struct Memory {
  /// Where `bytes` from `at` lie: in one block of device or pinned memory, else pageable.
  static Space space_of(const void* at, std::size_t bytes);
  /// True when the range begins in device or pinned memory and goes beyond its block.
  static bool overruns(const void* at, std::size_t bytes);
  /// Blocks whose guard bytes were overwritten end the process, at synchronisation.
  static void check_guards();
};

/// Remembers an error for cudaGetLastError, as every call of the runtime does.
cudaError_t failed(cudaError_t error);
/// Counts the call; the fault that is asked for, or the error that no context recovers from.
cudaError_t enter(const char* name);
/// From now on every call fails with this, as after a kernel that faulted.
void break_context(cudaError_t error);
cudaError_t context_error();

[[nodiscard]] int current_device();
/// Unknown handles are refused by the callers: null.
CUstream_st* find_stream(cudaStream_t stream);
/// The work as it runs when it comes to its turn: an error that comes only then hits here.
Run with_fault(Run run);
/// Puts work on a stream that does not capture, with what the default stream implies.
Ticket enqueue_on(CUstream_st& stream, const char* what, Run run);

}  // namespace gembench::simulation
