#pragma once

#include <string>

#include "harness/cli/options.hpp"

namespace gembench::inline commands {

/// trace import FORMAT|auto PATH..: writes --output, prints what came in.
void trace_import_command(const Options& options);

// Of trace_command.cpp, for both.
[[nodiscard]] std::string required_output(const Options& options);
/// What `trace info` says of a file.
void print_trace(const std::string& path);

}  // namespace gembench::inline commands
