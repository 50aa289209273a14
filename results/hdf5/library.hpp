#pragma once

#include <string>

#include "results/hdf5/handle.hpp"

/// The HDF5 library as a whole: its setup and its error messages.
namespace gembench::h5 {

/// "HDF5 1.10.8"
[[nodiscard]] std::string library_version();

/// Turns off HDF5's printing and its closing of files at exit, which after a failed write would
/// flush an incomplete state over the last good one. Call before the first file.
void prepare_library();
/// How files are opened and, if `writing`, made.
[[nodiscard]] Handle access_list(bool writing);
/// Why the last call failed; the operating system's message if there is one.
[[nodiscard]] std::string last_reason();

}  // namespace gembench::h5
