#pragma once

#include <string>

#include "harness/cli/options.hpp"

namespace gembench::inline commands {

// Of trace_command.cpp, for both.
[[nodiscard]] std::string required_output(const OutputOptions& options);
/// The output of `trace info` for a file.
void print_trace(const std::string& path, const std::string& format);
/// Whether a command describes the file that it has written: not with --quiet, unless scripts ask
/// for it by --format.
[[nodiscard]] bool describes_file(const OutputOptions& options);

}  // namespace gembench::inline commands
