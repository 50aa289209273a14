#pragma once

#include <filesystem>

#include "placement/recordings/token_recording.hpp"

namespace gembench::inline recordings {

/// Divides a recording's tokens, of which the file has `tokens`, into requests by a CSV, whose
/// columns are found by name: `decode_tokens` (generated, and recorded) with, optionally,
/// `recorded_prompt_tokens` before them in the recording; or `tokens`, if these are not
/// distinguished. `token_offset` is a request's first token; without it requests follow one
/// another. `task` or `dataset` labels them. Other columns are ignored, also `prompt_tokens`, since
/// it does not say that the prompt was recorded. Requests that lie completely behind the
/// recording's end are left out, and the source says so. Usage error naming file and line.
void cut_into_requests(TokenRecording& recording, const std::filesystem::path& requests,
                       std::size_t tokens);

}  // namespace gembench::inline recordings
