#pragma once

#include <cstddef>

namespace gembench::inline run {

/// Bytes that this process and its neighbours on the node can still get: what the kernel says is
/// available, or less where the cgroup (a Slurm job, a container) leaves less. 0 = not known.
[[nodiscard]] std::size_t node_memory_left();
/// Bytes that this process can still get under its own limit of address space; 0 = no limit.
[[nodiscard]] std::size_t own_memory_left();

}  // namespace gembench::inline run
