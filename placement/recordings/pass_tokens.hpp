#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "placement/recordings/token_recording.hpp"

namespace gembench::inline recordings {

/// Appends a rank's tokens of a forward pass, the first `prompt` of which are of prompts, as one
/// run of tokens (RecordedRequest). `ids` are [layer][token][column]; negative ones are none: a
/// token has top-k experts in a layer, or none at all. Usage error for another number, and for more
/// ids than are held.
void add_pass(TokenRecording& recording, std::span<const std::int64_t> ids, std::size_t columns,
              std::size_t prompt);

}  // namespace gembench::inline recordings
