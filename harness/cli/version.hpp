#pragma once

#include <string>

namespace gembench::inline cli {

/// "0.1.0".
[[nodiscard]] std::string version_number();
/// "gembench 0.1.0 (git 1a2b3c4)".
[[nodiscard]] std::string program_version();
/// The commit alone, "1a2b3c4" or "1a2b3c4-dirty".
[[nodiscard]] std::string program_commit();
/// Compiler and build type.
[[nodiscard]] std::string build_description();
/// What --version prints: the program, its build and the libraries.
[[nodiscard]] std::string version_text();

}  // namespace gembench::inline cli
