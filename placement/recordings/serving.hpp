#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "placement/recordings/arrivals.hpp"

namespace gembench::inline recordings {

/// An engine that serves requests by continuous batching with chunked prefill. Its steps take
/// step_seconds + token_seconds x tokens: stated, not measured.
struct ServingSpec {
  int max_batch_tokens = 2048;  ///< tokens of a step
  int max_requests = 0;         ///< that run at once; 0: as many as the tokens allow
  double step_seconds = 0;
  double token_seconds = 0;
  std::int64_t max_steps = 0;  ///< 0: until every request is served
};

/// A request's part of a step: its passes [first, first + count), counted over its prompt and then
/// over its generated tokens.
struct ServedPart {
  std::size_t request = 0;  ///< index of the arrivals
  int first = 0;
  int count = 0;
};

/// Tokens of a request that pass through the layers: its prompt and its generated tokens except the
/// last.
[[nodiscard]] std::int64_t passes(const Arrival& arrival);

/// Simulates the engine: `step` receives the parts of every step in order, at least one. Running
/// requests get one token each, oldest first. The rest of the step's tokens goes to prompts in
/// order of arrival, and so to waiting requests while there is room. If nothing runs, time advances
/// to the next arrival. `arrivals` are sorted by time. Usage error for an invalid spec.
void serve(std::span<const Arrival> arrivals, const ServingSpec& spec,
           const std::function<void(double seconds, std::span<const ServedPart>)>& step);

}  // namespace gembench::inline recordings
