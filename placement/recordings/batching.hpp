#pragma once

#include <cstdint>
#include <span>

#include "placement/recordings/recording.hpp"
#include "placement/recordings/serving.hpp"
#include "placement/recordings/token_recording.hpp"

/// Groups recorded requests into steps. The recording must be valid. Every function passes steps on
/// like StepGatherer, throws a usage error if there are none, and returns how many of the requests
/// their tokens come from; 0: unknown.
namespace gembench::inline recordings {

/// Steps of `window` consecutive tokens of a request, request by request; the shorter rest of each
/// is left out. Steps have phases if the recording has them.
std::int64_t batch_windows(const TokenRecording& recording, int window, bool keep_ids,
                           const KeepSteps& keep);

/// How recorded requests are batched.
struct ContinuousBatching {
  int batch = 1;               ///< requests that run at once
  bool shuffle = false;        ///< admit them in random order, else as recorded
  std::uint64_t seed = 1;      ///< of that order
  std::int64_t max_steps = 0;  ///< 0: all
};

/// Decode: the generated tokens of `batch` requests, one each per step; a finished request is
/// replaced in the next step. The first requests start in progress, since first tokens are all
/// alike: request i of `batch` starts after i / batch of its tokens. It ends when no request is
/// left to replace one, so every step has `batch` tokens.
std::int64_t batch_continuously(const TokenRecording& recording, const ContinuousBatching& how,
                                bool keep_ids, const KeepSteps& keep);

/// Steps of the engine that serves `arrivals`. Each arrival uses the ids of a recorded request,
/// drawn by `seed`. It generates the recorded tokens in order and repeats them if it needs more.
/// Its prompt's tokens are drawn from the recorded prompt, or from the generated tokens if no
/// prompt was recorded. So decode is as recorded and prefill is synthetic. Steps differ in size, so
/// only counts are kept.
std::int64_t batch_arrivals(const TokenRecording& recording, std::span<const Arrival> arrivals,
                            const ServingSpec& engine, std::uint64_t seed, const KeepSteps& keep);

}  // namespace gembench::inline recordings
