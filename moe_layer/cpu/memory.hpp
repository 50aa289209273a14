#pragma once

#include <cstddef>

#include "moe_layer/device/buffer.hpp"

namespace gembench::inline cpu {

/// Memory aligned to a cache line. From 128 KiB on it is on huge pages, several buffers of one size
/// side by side. With 4 KiB pages, address translation takes up to a third of the time on a virtual
/// machine, and the pages that a buffer happens to get decide about cache conflicts: two copies of
/// the same weights differed by 4 % during the whole life of a process. Freed memory is kept for
/// buffers of the same size. Environment error if there is no memory.
[[nodiscard]] Buffer cpu_memory(std::size_t bytes);

/// Rounded up to whole cache lines.
[[nodiscard]] constexpr std::size_t in_cache_lines(std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

}  // namespace gembench::inline cpu
