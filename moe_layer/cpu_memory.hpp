#pragma once

#include <cstddef>

#include "moe_layer/buffer.hpp"

namespace gembench {

/// Memory that begins at a cache line. Large ones ask for huge pages, which matters where weights
/// are read from memory: on a virtual machine with 4 KiB pages looking up addresses takes up to a
/// third of the time. Environment error when there is none.
[[nodiscard]] Buffer cpu_memory(std::size_t bytes);

/// Rounded up to whole cache lines.
[[nodiscard]] constexpr std::size_t in_cache_lines(std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

}  // namespace gembench
