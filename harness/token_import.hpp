#pragma once

#include "harness/options.hpp"
#include "placement/exchange/recording.hpp"
#include "results/trace_file.hpp"

namespace gembench {

/// trace import of a recording of tokens: makes steps as --window, --batch or --arrivals say and
/// appends them. Usage error when none of them or several are given.
void import_tokens(const Options& options, const RecordingFormat& format,
                   const RecordingInput& input, TraceWriter& writer);

}  // namespace gembench
