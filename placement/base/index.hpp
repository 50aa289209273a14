#pragma once

#include <cstddef>
#include <cstdint>

namespace gembench::inline base {

/// A count or index, known not to be negative, as the size that containers take.
[[nodiscard]] constexpr std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace gembench::inline base
