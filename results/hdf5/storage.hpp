#pragma once

#include <cstdint>
#include <string>
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

/// Variable-length UTF-8.
[[nodiscard]] Handle text_type();
/// HDF5's identifier of a number's type, in files and in memory; invalid for text.
[[nodiscard]] std::int64_t file_type(Type type);
[[nodiscard]] std::int64_t native_type(Type type);
/// A scalar where there are no extents; the first may grow if `grows`.
[[nodiscard]] Handle space_of(const Extents& extents, bool grows = false);
[[nodiscard]] bool grows(Layout layout);
/// Product with saturation, so that huge declared extents cannot overflow.
[[nodiscard]] std::uint64_t product(const Extents& extents, std::uint64_t factor = 1);
[[nodiscard]] Extents chunk_of(const Variable& variable, const Extents& extents);

/// The form in which HDF5 takes texts to write.
[[nodiscard]] std::vector<const char*> pointers(const std::vector<std::string>& texts);
/// Copies strings that HDF5 allocated and frees them; an empty one may be a null pointer.
[[nodiscard]] std::vector<std::string> take(std::vector<char*>& texts);

}  // namespace gembench::h5
