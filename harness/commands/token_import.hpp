#pragma once

#include "harness/cli/options.hpp"
#include "placement/recordings/recording.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {

/// trace import of a recording of tokens: makes steps as --window, --batch or --arrivals say and
/// appends them. Usage error when none of them or several are given.
void import_tokens(const TraceImportCommand& options, const RecordingFormat& format,
                   RecordingInput input, TraceWriter& writer);

/// Usage error when the options say how tokens become steps; for recordings of steps.
void require_no_batching(const TraceImportCommand& options, const RecordingInput& input);

}  // namespace gembench::inline commands
