#pragma once

#include <cstddef>

#include "moe_layer/device/buffer.hpp"

namespace gembench::inline cpu {

/// Memory that begins at a cache line. From 128 KiB up it lies on huge pages, several buffers of
/// one size side by side: with 4 KiB pages looking up addresses takes up to a third of the time on
/// a virtual machine, and which pages a buffer happens to get decides what falls out of a cache, so
/// that two copies of the same weights differed by 4 % for as long as a process lived. Freed memory
/// is kept for buffers of the same size. Environment error when there is none.
[[nodiscard]] Buffer cpu_memory(std::size_t bytes);

/// Rounded up to whole cache lines.
[[nodiscard]] constexpr std::size_t in_cache_lines(std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

}  // namespace gembench::inline cpu
