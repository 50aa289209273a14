#pragma once

#include "placement/recordings/recording.hpp"
#include "placement/recordings/token_recording.hpp"

/// Expert ids that servers return with every answer (--enable-return-routed-experts). Input is
/// files or one folder: JSON lines or documents that hold responses anywhere in them; an answer's
/// ids are the base64 text `routed_experts`, its prompt's length `prompt_tokens` in the same object
/// or one around it. All tokens but the last, which is never fed back, are listed, with a row for
/// every layer of the model. The user states layers, experts and top-k if the format does not
/// contain them. Dense layers are dropped.
namespace gembench::inline recordings {

/// vLLM: base64 of a .npy [tokens - 1][layers][k] of 8 or 16 bits; such .npy files themselves too.
[[nodiscard]] TokenRecording read_vllm_routed(const RecordingInput& input);

/// SGLang: base64 of 32-bit numbers [tokens - 1][layers][k], without a shape.
[[nodiscard]] TokenRecording read_sglang_routed(const RecordingInput& input);

}  // namespace gembench::inline recordings
