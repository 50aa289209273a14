#pragma once

#include <filesystem>

#include "placement/recordings/token_recording.hpp"

namespace gembench::inline recordings {

/// Cuts a recording's tokens into requests as a CSV says, whose columns are found by name:
/// `decode_tokens` (generated, and recorded) with, optionally, `recorded_prompt_tokens` before them
/// in the recording; or `tokens`, where that is not known apart. `token_offset` is a request's
/// first token; without it they follow one another. `task` or `dataset` labels them. Other columns
/// are ignored, `prompt_tokens` too, since it does not say that the prompt was recorded. Requests
/// that lie behind the recording's end as a whole are left out, which the source then says. Usage
/// error naming file and line.
void cut_into_requests(TokenRecording& recording, const std::filesystem::path& requests);

}  // namespace gembench::inline recordings
