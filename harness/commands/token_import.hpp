#pragma once

#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "placement/recordings/recording.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {

/// `trace import` of a recording of tokens: groups them into steps by --window, --batch or
/// --arrivals and appends these. Returns what the user must know. Usage error if none or several of
/// these options are given.
std::vector<std::string> import_tokens(const TraceImportCommand& options,
                                       const RecordingFormat& format, RecordingInput input,
                                       TraceWriter& writer);

/// For recordings of steps: usage error if an option groups tokens into steps.
void require_no_batching(const TraceImportCommand& options, const RecordingInput& input);

}  // namespace gembench::inline commands
