#pragma once

#include <cstdint>
#include <span>

#include "placement/recordings/recording.hpp"
#include "placement/recordings/serving.hpp"
#include "placement/recordings/token_recording.hpp"

/// Recorded requests become steps. The recording must be valid. Every function hands on steps as
/// StepGatherer does, and gives a usage error when there would be none.
namespace gembench::inline recordings {

/// Steps of `window` consecutive tokens of a request, request by request; the shorter rest of each
/// is left out. Steps have phases where the recording knows them.
void batch_windows(const TokenRecording& recording, int window, bool keep_ids,
                   const KeepSteps& keep);

/// How recorded requests are run together.
struct ContinuousBatching {
  int batch = 1;               ///< requests that run at once
  bool shuffle = false;        ///< admit them in random order, else as recorded
  std::uint64_t seed = 1;      ///< of that order
  std::int64_t max_steps = 0;  ///< 0: all
};

/// Decode: the generated tokens of `batch` requests, one each a step; who is done is replaced in
/// the next step. The first ones are met on their way, since first tokens are all alike: request i
/// of `batch` has i / batch of its tokens behind it. It ends when no request is left to replace
/// one, so that every step has `batch` tokens.
void batch_continuously(const TokenRecording& recording, const ContinuousBatching& how,
                        bool keep_ids, const KeepSteps& keep);

/// Steps of the engine that serves `arrivals`. Each of those takes its ids from a recorded request,
/// drawn by `seed`: it generates that one's generated tokens in order, over again if it needs more;
/// its prompt's tokens are drawn from that one's prompt, or from what it generated where no prompt
/// was recorded. So decode is as recorded and prefill is synthetic. Steps differ in size: counts
/// only.
void batch_arrivals(const TokenRecording& recording, std::span<const Arrival> arrivals,
                    const ServingSpec& engine, std::uint64_t seed, const KeepSteps& keep);

}  // namespace gembench::inline recordings
