#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "placement/encodings/elements.hpp"

namespace gembench::inline encodings {

/// The header of a NumPy .npy file.
struct NpyHeader {
  Element element = Element::int32;
  std::vector<std::int64_t> shape;  ///< row-major (C order); none is negative
};

inline constexpr std::size_t kNpyPrefix = 12;  ///< bytes that tell how long the header is

/// Whether these first bytes are those of a .npy file.
[[nodiscard]] bool is_npy(std::string_view prefix);

/// Size of the header, from a file's first kNpyPrefix bytes. Usage error naming `name` if it is no
/// .npy file or the header is above 64 KiB.
[[nodiscard]] std::size_t npy_header_bytes(std::string_view prefix, const std::string& name);

/// `bytes` begin with the whole header. Usage error naming `name` for one that is malformed, has
/// another type than integers and floats, is big-endian, or in Fortran order.
[[nodiscard]] NpyHeader parse_npy_header(std::string_view bytes, const std::string& name);

/// The header of a file as numpy.save writes it, in C order, which the elements follow; `shape` is
/// a Python tuple.
[[nodiscard]] std::string npy_content(std::string_view type, std::string_view shape);

}  // namespace gembench::inline encodings
