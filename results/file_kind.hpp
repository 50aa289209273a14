#pragma once

#include <filesystem>
#include <string>

namespace gembench::inline results {

/// The `schema` that an HDF5 file names, such as "gembench-results"; empty where it is no HDF5 file
/// or names none. Usage error for a file that cannot be read.
[[nodiscard]] std::string schema_of(const std::filesystem::path& path);

}  // namespace gembench::inline results
