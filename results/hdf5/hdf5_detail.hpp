#pragma once

#include "results/hdf5/hdf5.hpp"

/// Shared by the hdf5*.cpp only.
namespace gembench::h5 {

/// Variable-length UTF-8.
[[nodiscard]] Handle text_type();

}  // namespace gembench::h5
