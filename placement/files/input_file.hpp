#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gembench::inline files {

/// The whole content of a regular file, without a byte order mark. Throws a usage error naming the
/// file when it cannot be read, is no regular file, or is larger than `max_bytes` (checked before
/// anything is allocated).
[[nodiscard]] std::string read_input_file(const std::filesystem::path& path,
                                          std::uintmax_t max_bytes);

}  // namespace gembench::inline files
