#pragma once

#include <filesystem>
#include <string_view>

#include "placement/base/output_owner.hpp"

namespace gembench::inline base {

/// Writes a file whole or not at all: a full disk or a kill leaves nothing under its name. Refuses
/// an existing file unless `overwrite`; output errors say why it cannot be written.
void write_whole_file(const std::filesystem::path& path, std::string_view content, bool overwrite);
/// For a name that was claimed before the content was made.
void write_whole_file(const OutputOwner& owner, std::string_view content, bool overwrite);

/// Output error, which says why, unless a file of that name could be made: for work that takes long
/// before there is something to write.
void require_writable(const std::filesystem::path& path);

}  // namespace gembench::inline base
