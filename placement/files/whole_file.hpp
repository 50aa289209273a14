#pragma once

#include <filesystem>
#include <string_view>

#include "placement/files/output_owner.hpp"

namespace gembench::inline files {

/// Writes a file completely or not at all: a full disk or a kill leaves nothing under its name.
/// Rejects an existing file unless `overwrite`; output errors say why it cannot be written.
void write_whole_file(const std::filesystem::path& path, std::string_view content, bool overwrite);
/// For a name that was claimed before the content existed.
void write_whole_file(const OutputOwner& owner, std::string_view content, bool overwrite);

/// Output error, with the reason, if a file of that name could not be created: for use before long
/// work that ends with writing it.
void require_writable(const std::filesystem::path& path);

}  // namespace gembench::inline files
