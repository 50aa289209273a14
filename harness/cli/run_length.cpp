#include "harness/cli/run_length.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/placement_names.hpp"

namespace gembench::inline cli {
namespace {

constexpr int kSteps = 40;            // of a run that ends by no rule
constexpr int kMostSteps = 512;       // of one that does; its file has room for so many
constexpr int kMostRouterSteps = 64;  // the router decides them all beforehand
constexpr double kPrecision = 2;      // percentage points
constexpr double kMaxSeconds = 150;   // of measuring

}  // namespace

bool compares_placements(const SessionOptions& o) {
  return o.placements.size() > 1 && o.drift.empty() &&
         std::ranges::none_of(o.placements,
                              [](const auto& p) { return parse_placement_name(p).is_dynamic(); });
}

void settle_length(SessionOptions& o) {
  if (!o.steps_stated && !o.precision && compares_placements(o)) o.precision = kPrecision;
  if (o.precision.value_or(0) > 0 && !o.max_seconds) o.max_seconds = kMaxSeconds;
  if (o.steps_stated) return;
  o.steps = !may_end_early(o) ? kSteps : o.routing == "router" ? kMostRouterSteps : kMostSteps;
}

void fit_length(SessionOptions& o, int ranks, int trace_steps) {
  if (o.steps_stated) return;
  if (ranks == 1) {
    o.precision.reset();
    o.max_seconds.reset();
    o.steps = kSteps;
  }
  if (trace_steps == 0) return;
  const int most = o.in_sample    ? trace_steps
                   : o.plan_steps ? trace_steps - *o.plan_steps
                                  : std::max(std::min(kSteps, trace_steps / 2), trace_steps / 4);
  o.steps = std::min(o.steps, std::max(1, most));
}

StopRule stop_rule(const SessionOptions& o) {
  return {o.precision.value_or(0) / 100, o.max_seconds.value_or(0)};
}

std::string end_in_words(const SessionOptions& o) {
  const StopRule rule = stop_rule(o);
  std::string text;
  if (rule.precision > 0) {
    text = fmt::format("every interval is within +-{:g} points", rule.precision * 100);
  }
  if (rule.max_seconds > 0) {
    text += fmt::format("{}{:g} s are over", text.empty() ? "" : " or ", rule.max_seconds);
  }
  return text.empty() ? text : ", less where " + text;
}

std::string at_last_step(const SessionOptions& o) {
  if (!may_end_early(o)) {
    return fmt::format("{} steps were measured, {}", o.steps,
                       o.steps_stated ? "as --steps asks" : "the default");
  }
  return fmt::format("{} steps were measured, the most that {}", o.steps,
                     o.steps_stated ? "--steps allows" : "it may take without --steps");
}

bool may_end_early(const SessionOptions& o) {
  return o.precision.value_or(0) > 0 || o.max_seconds.value_or(0) > 0;
}

}  // namespace gembench::inline cli
