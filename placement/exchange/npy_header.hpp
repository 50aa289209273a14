#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace gembench {

/// What numpy's .npy says of the array that follows it (NEP 1).
struct NpyHeader {
  char kind = 'u';  ///< u, i or f, as in numpy
  int bytes = 1;    ///< of an element, little-endian
  std::vector<std::uint64_t> shape;
};

/// The first bytes of every .npy.
inline constexpr std::string_view kNpyMagic{"\x93NUMPY", 6};

/// Reads a header with `read`, which fills a span or throws. Usage error for what is none, and for
/// other element types, byte orders and memory orders.
[[nodiscard]] NpyHeader read_npy_header(const std::function<void(std::span<char>)>& read);

}  // namespace gembench
