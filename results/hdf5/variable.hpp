#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gembench::h5 {

/// text: written as variable-length UTF-8, read as others write it too.
enum class Type { float32, float64, int32, int64, uint16, text };
enum class Layout {
  whole,    ///< contiguous, allocated and filled at once; values are written in place
  chunked,  ///< chunks of one placement and some steps, compressed
  growing,  ///< chunks of some steps as they are, of which more may come: File::grow
  growing_compressed
};
enum class Cells {
  complete,   ///< every cell holds a value
  unmeasured  ///< NaN or -1 (`_FillValue`) where nothing was written
};

/// One dataset of a file's schema.
struct Variable {
  std::string_view name;  ///< from the root, "/" before the name in a group
  Type type;
  Layout layout;
  Cells cells;
  std::array<std::string_view, 4> dims;  ///< names of dimension scales, unused ones empty
  std::string_view units;
  std::string_view meaning;  ///< attribute long_name

  [[nodiscard]] constexpr std::size_t rank() const {
    std::size_t n = 0;
    while (n < dims.size() && !dims[n].empty()) ++n;
    return n;
  }
};

/// A name, and its older name in files of older versions. A group's name also applies to its
/// content.
struct Renamed {
  std::string_view now, before;
};

using Extents = std::vector<std::uint64_t>;
/// std::invalid_argument for a negative count: nothing that was checked has one.
[[nodiscard]] inline std::uint64_t extent(int count) {
  if (count < 0) throw std::invalid_argument("a dataset cannot have a negative extent");
  return static_cast<std::uint64_t>(count);
}

template <class T>
[[nodiscard]] constexpr Type memory_type() {
  if constexpr (std::is_same_v<T, double>) return Type::float64;
  if constexpr (std::is_same_v<T, std::int32_t>) return Type::int32;
  if constexpr (std::is_same_v<T, std::int64_t>) return Type::int64;
  if constexpr (std::is_same_v<T, std::uint16_t>) return Type::uint16;
}

}  // namespace gembench::h5
