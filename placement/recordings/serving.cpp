#include "placement/recordings/serving.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "placement/base/error.hpp"

namespace gembench::inline recordings {
namespace {

struct Running {
  std::size_t request = 0;
  std::int64_t done = 0;  // passes
};

void require(const ServingSpec& spec) {
  if (spec.max_batch_tokens < 1)
    throw usage_error(
        fmt::format("a step of {} tokens serves nobody; give at least 1", spec.max_batch_tokens));
  const auto sound = [](double seconds) { return std::isfinite(seconds) && seconds >= 0; };
  if (!sound(spec.step_seconds) || !sound(spec.token_seconds) ||
      spec.step_seconds + spec.token_seconds <= 0)
    throw usage_error("steps must take time for requests to arrive in; give seconds above 0");
}

}  // namespace

std::int64_t passes(const Arrival& arrival) {
  return std::int64_t{arrival.prompt} + std::max(arrival.generated - 1, 0);
}

void serve(std::span<const Arrival> arrivals, const ServingSpec& spec,
           const std::function<void(double, std::span<const ServedPart>)>& step) {
  require(spec);
  const auto most_running = static_cast<std::size_t>(
      spec.max_requests > 0 ? std::min(spec.max_requests, spec.max_batch_tokens)
                            : spec.max_batch_tokens);
  std::vector<Running> running;  // in order of arrival
  std::vector<ServedPart> parts;
  std::size_t waiting = 0;  // the next to be admitted
  double now = 0;
  for (std::int64_t steps = 0; spec.max_steps == 0 || steps < spec.max_steps; ++steps) {
    while (waiting < arrivals.size() && passes(arrivals[waiting]) == 0) ++waiting;
    if (running.empty() && waiting == arrivals.size()) return;
    if (running.empty()) now = std::max(now, arrivals[waiting].seconds);

    int left = spec.max_batch_tokens;
    const auto give = [&](Running& one, std::int64_t wanted) {
      const int count = static_cast<int>(std::min<std::int64_t>(wanted, left));
      parts.push_back({one.request, static_cast<int>(one.done), count});
      one.done += count;
      left -= count;
    };
    parts.clear();
    // Requests whose prompt is done come first; those with prompt tokens left are served after
    // them.
    const auto decoding = [&](const Running& one) {
      return one.done >= arrivals[one.request].prompt;
    };
    const auto first_prompt = std::stable_partition(running.begin(), running.end(), decoding);
    for (auto one = running.begin(); one != first_prompt; ++one) give(*one, 1);
    for (auto one = first_prompt; one != running.end() && left > 0; ++one)
      give(*one, arrivals[one->request].prompt - one->done);
    for (; left > 0 && running.size() < most_running && waiting < arrivals.size() &&
           arrivals[waiting].seconds <= now;
         ++waiting) {
      if (passes(arrivals[waiting]) == 0) continue;
      running.push_back({waiting, 0});
      give(running.back(), std::max(arrivals[waiting].prompt, 1));
    }
    step(now, parts);
    std::erase_if(running,
                  [&](const Running& one) { return one.done >= passes(arrivals[one.request]); });
    now += spec.step_seconds + spec.token_seconds * (spec.max_batch_tokens - left);
  }
}

}  // namespace gembench::inline recordings
