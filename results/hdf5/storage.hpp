#pragma once

#include <cstdint>
#include <vector>

#include "results/hdf5/handle.hpp"
#include "results/hdf5/variable.hpp"

/// The storage of values in a file: HDF5's types, dataspaces and chunks for a Variable.
namespace gembench::h5 {

inline constexpr std::uint64_t kMaxReadChunk =
    64 << 20;                                         ///< bytes; HDF5 allocates a chunk as declared
inline constexpr std::uint64_t kDeflateLimit = 1040;  ///< deflate cannot shrink more (zlib: 1032)
/// Higher levels take longer and save little after shuffle.
inline constexpr unsigned kDeflateLevel = 1;

/// HDF5's identifier of a number's type, in files and in memory; invalid for text.
[[nodiscard]] std::int64_t file_type(Type type);
[[nodiscard]] std::int64_t native_type(Type type);
/// A scalar where there are no extents; the first may grow if `grows`.
[[nodiscard]] Handle space_of(const Extents& extents, bool grows = false);
[[nodiscard]] bool grows(Layout layout);
/// Product with saturation, so that huge declared extents cannot overflow.
[[nodiscard]] std::uint64_t product(const Extents& extents, std::uint64_t factor = 1);
[[nodiscard]] Extents chunk_of(const Variable& variable, const Extents& extents);

}  // namespace gembench::h5
