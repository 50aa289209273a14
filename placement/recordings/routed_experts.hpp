#pragma once

#include "placement/recordings/recording.hpp"
#include "placement/recordings/token_recording.hpp"

/// Expert ids that servers return with every answer (--enable-return-routed-experts). Input is
/// files or one folder: JSON lines, server-sent events or documents that hold responses anywhere in
/// them. An answer's ids are its `routed_experts`, a base64 text or lists [token][layer][k] of
/// numbers; `prompt_tokens` and `completion_tokens` stand in the same object or one around it,
/// where several answers may share them. All tokens but the last, which is never fed back, are
/// listed, with a row for every layer of the model, unless the server was asked to leave out the
/// first ones of the prompt. The user states layers, experts and top-k if the format does not
/// contain them. Dense layers, fused shared experts, tokens without a route and responses that
/// contradict themselves are left out.
namespace gembench::inline recordings {

/// vLLM: base64 of a .npy [tokens - 1][layers][k] of 8 or 16 bits; such .npy files themselves too.
[[nodiscard]] TokenRecording read_vllm_routed(const RecordingInput& input);

/// SGLang: base64 of 32-bit numbers [tokens - 1][layers][k], without a shape.
[[nodiscard]] TokenRecording read_sglang_routed(const RecordingInput& input);

}  // namespace gembench::inline recordings
