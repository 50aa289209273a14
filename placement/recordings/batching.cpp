#include "placement/recordings/batching.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "placement/recordings/step_gatherer.hpp"

namespace gembench::inline recordings {
namespace {

Trace shape_of(const TokenRecording& recording, const std::string& how) {
  Trace shape;
  shape.layers = recording.layers;
  shape.experts = recording.experts;
  shape.topk = recording.topk;
  shape.layer_ids = recording.layer_ids;
  shape.model_layers = recording.model_layers;
  shape.source = fmt::format("{}; {}", recording.source, how);
  return shape;
}

std::int32_t task_of(const TokenRecording& recording, const RecordedRequest& request) {
  return recording.tasks.empty() ? -1 : request.task;
}

std::int32_t phase_of(std::int64_t prompt, std::int64_t decode) {
  return prompt == 0 ? kDecode : decode == 0 ? kPrefill : kMixed;
}

/// The recorded token that stands for pass `pass` of an arrival which `request` was drawn for.
std::size_t stand_in(const RecordedRequest& request, const Arrival& arrival, int pass,
                     std::uint64_t key) {
  if (pass < arrival.prompt || request.decode == 0) {
    const auto many = sz(request.prompt > 0 ? request.prompt : request.decode);
    return request.first + fold(key, sz(pass)) % many;
  }
  return request.first + sz(request.prompt) + sz((pass - arrival.prompt) % request.decode);
}

}  // namespace

std::int64_t batch_windows(const TokenRecording& recording, int window, bool keep_ids,
                           const KeepSteps& keep) {
  if (window < 1) throw usage_error(fmt::format("a window of {} tokens; give at least 1", window));
  StepGatherer steps(shape_of(recording, fmt::format("windows of {} tokens", window)), keep_ids,
                     keep);
  std::int64_t used = 0;
  for (const auto& request : recording.requests) {
    if (request.tokens() >= window) ++used;
    for (int at = 0; request.tokens() - at >= window; at += window) {
      for (int token = at; token < at + window; ++token)
        steps.add(recording.token(request.first + sz(token)), task_of(recording, request));
      const int prompt = std::clamp(request.prompt - at, 0, window);
      steps.end_step(recording.phases_known ? phase_of(prompt, window - prompt) : -1);
    }
  }
  if (steps.steps() == 0)
    throw usage_error(fmt::format("{} has no request of {} tokens; use smaller windows",
                                  recording.source, window));
  steps.finish();
  return recording.requests_known ? used : 0;
}

std::int64_t batch_continuously(const TokenRecording& recording, const ContinuousBatching& how,
                                bool keep_ids, const KeepSteps& keep) {
  if (how.batch < 1)
    throw usage_error(fmt::format("a batch of {} requests; give at least 1", how.batch));
  std::vector<const RecordedRequest*> order;
  for (const auto& request : recording.requests)
    if (request.decode > 0) order.push_back(&request);
  if (order.size() < sz(how.batch))
    throw usage_error(
        fmt::format("{} has {} requests with generated tokens, too few for a batch of {}; give a "
                    "smaller batch",
                    recording.source, order.size(), how.batch));
  if (how.shuffle) Random(how.seed).shuffle(order);

  struct Slot {
    const RecordedRequest* request = nullptr;
    int done = 0;
  };
  std::vector<Slot> slots(sz(how.batch));
  auto next = order.begin();
  for (std::size_t i = 0; i < slots.size(); ++i, ++next)
    slots[i] = {*next, static_cast<int>(sz((*next)->decode) * i / slots.size())};
  StepGatherer steps(
      shape_of(recording,
               fmt::format("continuous batching of {} requests, admitted {}", how.batch,
                           how.shuffle ? fmt::format("in random order (seed {})", how.seed)
                                       : std::string("in order"))),
      keep_ids, keep);
  for (bool full = true; full && (how.max_steps == 0 || steps.steps() < how.max_steps);) {
    for (auto& [request, done] : slots) {
      steps.add(recording.token(request->first + sz(request->prompt) + sz(done)),
                task_of(recording, *request));
      if (++done < request->decode) continue;
      if (next == order.end()) {
        full = false;
      } else {
        request = *next++;
        done = 0;
      }
    }
    steps.end_step(recording.phases_known ? kDecode : -1);
  }
  steps.finish();
  // Those that were admitted at the very end have not run.
  const auto waiting =
      std::count_if(slots.begin(), slots.end(), [](const Slot& slot) { return slot.done == 0; });
  return recording.requests_known ? next - order.begin() - waiting : 0;
}

std::int64_t batch_arrivals(const TokenRecording& recording, std::span<const Arrival> arrivals,
                            const ServingSpec& engine, std::uint64_t seed, const KeepSteps& keep) {
  std::vector<const RecordedRequest*> recorded;
  for (const auto& request : recording.requests)
    if (request.tokens() > 0) recorded.push_back(&request);
  if (recorded.empty())
    throw usage_error(fmt::format("{} has no requests; give requests", recording.source));
  StepGatherer steps(
      shape_of(recording,
               fmt::format("{} arrivals served with at most {} tokens a step, each step {:g} s + "
                           "{:g} s a token (stated); ids of prompts synthetic (drawn from recorded "
                           "tokens, seed {})",
                           arrivals.size(), engine.max_batch_tokens, engine.step_seconds,
                           engine.token_seconds, seed)),
      false, keep);
  std::vector<bool> used(recorded.size());
  serve(arrivals, engine, [&](double, std::span<const ServedPart> parts) {
    std::int64_t prompt = 0;
    std::int64_t decode = 0;
    for (const auto& part : parts) {
      const auto& arrival = arrivals[part.request];
      const auto key = fold(seed, part.request);
      const auto drawn = key % recorded.size();
      const auto& request = *recorded[drawn];
      used[drawn] = true;
      for (int pass = part.first; pass < part.first + part.count; ++pass) {
        steps.add(recording.token(stand_in(request, arrival, pass, key)),
                  task_of(recording, request));
        ++(pass < arrival.prompt ? prompt : decode);
      }
    }
    steps.end_step(phase_of(prompt, decode));
  });
  if (steps.steps() == 0)
    throw usage_error("the arrivals have no tokens; give requests with prompts");
  steps.finish();
  return recording.requests_known ? std::count(used.begin(), used.end(), true) : 0;
}

}  // namespace gembench::inline recordings
