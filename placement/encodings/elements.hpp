#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gembench::inline encodings {

/// Types of the numbers in binary recordings; little-endian, as every recorder's machine is.
enum class Element {
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  float16,
  bfloat16,
  float32,
  float64
};

[[nodiscard]] std::size_t size_of(Element element);

/// Whole numbers above it may have been rounded; 0 if that is of no concern.
[[nodiscard]] std::int64_t exact_up_to(Element element);

/// Bytes as whole numbers; `bytes` holds as many elements as `values` has room for. False if one is
/// no whole number (NaN, infinite, a fraction) or beyond 2^53, since counts are whole.
[[nodiscard]] bool to_integers(Element element, std::span<const char> bytes,
                               std::span<std::int64_t> values);

}  // namespace gembench::inline encodings
