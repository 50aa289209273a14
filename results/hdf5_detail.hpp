#pragma once

#include <cstdint>
#include <string>

#include "results/hdf5.hpp"

/// Shared by hdf5.cpp and hdf5_text.cpp only.
namespace gembench::h5 {

/// HDF5's own constants for a type in a file (little endian) and in memory.
[[nodiscard]] std::int64_t file_type(Type type);
[[nodiscard]] std::int64_t native_type(Type type);
/// Variable-length UTF-8.
[[nodiscard]] Handle text_type();
/// The innermost reason on HDF5's error stack, the operating system's if it has one.
[[nodiscard]] std::string last_reason();

}  // namespace gembench::h5
