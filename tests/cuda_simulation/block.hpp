#pragma once

#include <driver_types.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/cuda_simulation/fiber.hpp"

namespace gembench::simulation {

constexpr unsigned kWarp = 32;
constexpr unsigned kMaxThreads = 1024;  // of a block
/// The content of uninitialised memory: a negative number as bf16, f32 and int; no valid pointer.
constexpr int kJunkByte = 0xCD;
constexpr std::uint64_t kJunk = 0xCDCDCDCDCDCDCDCDU;
/// Bytes of junk behind memory, looked at afterwards; none where AddressSanitizer looks at once.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kGuardBytes = 0;
#else
constexpr std::size_t kGuardBytes = 64;
#endif

#if defined(GEMBENCH_BLOCKS_ON_THREADS)
extern thread_local uint3 thread_index, block_index;
#endif
/// Where the running block's dynamic shared memory begins. (threadIdx and its like are variables
/// too, as the toolkit's headers declare them.)
extern GEMBENCH_OF_BLOCK void* dynamic_shared;

/// One launch: `body` is the kernel with its arguments, called once a CUDA thread.
struct Grid {
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;  // dynamic shared memory of each block
  std::function<void()> body;
  std::string name;  // for messages
};

/// Copies a kernel's arguments out of `arguments`, as a launch does, for a call later on.
using Bind = std::function<void()> (*)(const void* kernel, void** arguments);
/// The runtime receives a kernel as an address; this tells it the kernel's parameters.
void register_kernel(const void* kernel, Bind bind);

/// Runs all blocks, one after another or on several host threads, in the order that
/// GEMBENCH_SIMULATED_BLOCKS names. Ends the process with a message when a block cannot finish.
void run_grid(const Grid& grid);

/// Where a kernel waits. (Not std::source_location: clang-tidy's compiler lacks it.)
struct Place {
  const char* file = "";
  int line = 0;
};

enum class Collective : unsigned char { sync, shuffle, vote };

/// Barrier of the block. Ends the process where its threads wait at different ones, or some exited.
void block_barrier(Place where);
/// Barrier of the lanes in `mask`; returns the `value` of lane `source` for a shuffle (junk where
/// that lane takes no part), the bits of lanes whose value is not 0 for a vote.
std::uint64_t warp_collective(Collective kind, unsigned mask, std::uint64_t value, unsigned source,
                              Place where);
/// Place of the running thread in its warp.
[[nodiscard]] unsigned lane_of_running_thread();

}  // namespace gembench::simulation
