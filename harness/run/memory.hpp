#pragma once

#include <cstddef>

namespace gembench::inline run {

/// Bytes that the processes on this node can still allocate: what the kernel reports as available,
/// or less if the cgroup (a Slurm job, a container) allows less. 0 = unknown.
[[nodiscard]] std::size_t node_memory_left();
/// Bytes that this process can still allocate under its address-space limit; 0 = no limit.
[[nodiscard]] std::size_t own_memory_left();

}  // namespace gembench::inline run
