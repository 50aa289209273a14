#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "results/hdf5/handle.hpp"

/// Texts as HDF5 takes and gives them.
namespace gembench::h5 {

/// What we write: variable-length UTF-8.
[[nodiscard]] Handle text_type();
/// What HDF5 writes texts from.
[[nodiscard]] std::vector<const char*> pointers(const std::vector<std::string>& texts);

inline constexpr std::uint64_t kMaxTextBytes =
    64 << 20;  ///< of fixed-length texts; HDF5 wants as much memory as a file declares

/// Whether texts of this type (HDF5's identifier) can be read: h5py, netCDF and others write ASCII
/// or UTF-8, of variable or of fixed length, padded in three ways.
[[nodiscard]] bool is_readable_text(std::int64_t type, std::uint64_t count);
/// Those texts; `read` fills the memory it is given with `count` of the type, unconverted: HDF5
/// converts between ASCII and UTF-8 neither way.
[[nodiscard]] std::vector<std::string> read_texts_of(std::int64_t type, std::size_t count,
                                                     const std::function<void(void*)>& read);

}  // namespace gembench::h5
