#pragma once

#include <string>

#include "results/hdf5/handle.hpp"

/// The HDF5 library as a whole: how it is set up, and what it says of errors.
namespace gembench::h5 {

/// "HDF5 1.10.8"
[[nodiscard]] std::string library_version();

/// No printing by HDF5, and no closing at exit: after a failed write that would flush half a state
/// over the last good one. Before the first file.
void prepare_library();
/// How files are opened and, if `writing`, made.
[[nodiscard]] Handle access_list(bool writing);
/// Why the last call failed; the operating system's word where there is one.
[[nodiscard]] std::string last_reason();

}  // namespace gembench::h5
