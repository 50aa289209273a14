#pragma once

#include <cstddef>
#include <cstdint>

namespace gembench::inline base {

/// A non-negative count or index as a container size.
[[nodiscard]] constexpr std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace gembench::inline base
