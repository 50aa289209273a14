#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "placement/encodings/byte_stream.hpp"
#include "placement/encodings/npy.hpp"

namespace gembench::inline encodings {

/// An array in a file, ready to be read from its first element.
struct NpyStream {
  ByteStream in;
  NpyHeader header;
};

/// Whether the file may be a .npz, by its name and first bytes. Never throws for foreign content.
[[nodiscard]] bool is_npz(const std::filesystem::path& path);

/// Opens a .npy, or in a .npz of numpy.savez the array of that name (empty: its only one). Usage
/// error naming the file for a name that it lacks, and for none where it has several arrays.
[[nodiscard]] NpyStream open_npy(const std::filesystem::path& path, std::string_view array);

}  // namespace gembench::inline encodings
