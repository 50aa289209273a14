#include "harness/run/adaptation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "harness/run/workload.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/objective.hpp"

namespace gembench::inline run {
namespace {

constexpr int kWindow = 1024;        // steps that are planned on at most: long ones generalise
constexpr double kLeastGain = 0.01;  // of a step's predicted time: less is within its error
constexpr int kInARow = 2;

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Trace counts_of(const Trace& trace, int first, int steps) {
  return counts_only(slice(trace, first, steps));
}

void append(Trace& window, const Trace& steps) {
  window.tokens.insert(window.tokens.end(), steps.tokens.begin(), steps.tokens.end());
  window.steps += steps.steps;
  if (window.steps > kWindow) window = slice(window, window.steps - kWindow, kWindow);
}

}  // namespace

LoadWatch::LoadWatch(const std::vector<double>& planned, int segment_steps) {
  std::vector<double> segments;
  const std::size_t each = sz(segment_steps);
  for (std::size_t first = 0; first + each <= planned.size(); first += each) {
    const auto from = planned.begin() + static_cast<std::ptrdiff_t>(first);
    segments.push_back(mean({from, from + segment_steps}));
  }
  if (segments.size() < 2) return;
  const double all = mean(segments);
  double squares = 0;
  for (const double segment : segments) squares += (segment - all) * (segment - all);
  const double deviation = std::sqrt(squares / static_cast<double>(segments.size() - 1));
  tolerance_ = std::max(kLeast, kNoise * deviation / all);
  expect(all);
}

void LoadWatch::expect(double mean) {
  expected_ = mean;
  first_segments_ = 0;
  seen_ = suspicious_ = 0;
}

bool LoadWatch::observe(double segment) {
  if (seen_ < kBaseline) {
    first_segments_ += segment;
    if (++seen_ == kBaseline) expected_ = std::max(expected_, first_segments_ / kBaseline);
    return false;
  }
  suspicious_ = tolerance_ > 0 && segment > expected_ * (1 + tolerance_) ? suspicious_ + 1 : 0;
  return suspicious_ >= kInARow;
}

Adaptation::Adaptation(Placement start, const Profile& profile, const Trace& plan,
                       const AdaptationOptions& options)
    : options_(options),
      placement_(std::move(start)),
      profile_(profile),
      speeds_(profile),
      window_(counts_of(plan, std::max(0, plan.steps - kWindow), std::min(plan.steps, kWindow))) {
  loads_ = LoadWatch(predicted_steps(window_), options_.segment_steps);
}

CostModel Adaptation::cost() const {
  return {profile_, options_.cost, options_.profile_slots};
}

std::vector<double> Adaptation::predicted_steps(const Trace& trace) const {
  const TokenRule rule = token_rule(options_.token_split, cost());
  const auto layers = predicted_layer_seconds(trace, placement_, rule.cost, rule.spec());
  std::vector<double> steps(sz(trace.steps), 0.0);
  for (std::size_t i = 0; i < layers.size(); ++i) steps[i / sz(trace.layers)] += layers[i];
  return steps;
}

bool Adaptation::time_to_look_again() {
  if (since_change_ < 0 || ++since_change_ < next_look_) return false;
  next_look_ *= 2;
  return true;
}

std::optional<Change> Adaptation::observe(const SegmentRecord& block, const RunShape& shape,
                                          const Trace& measured) {
  if (block.notes.experts_moved > 0) {
    move_seconds_ = block.notes.move_seconds / static_cast<double>(block.notes.experts_moved);
  }
  const Trace steps = counts_of(measured, block.at.first_step, block.at.steps);
  const bool faster_or_slower = speeds_.observe(block, shape);
  const bool other_loads = loads_.observe(mean(predicted_steps(steps)));
  if (other_loads) {
    // The segment before was the first that showed it.
    const int first = std::max(0, block.at.first_step - options_.segment_steps);
    window_ = counts_of(measured, first, block.at.first_step + block.at.steps - first);
    since_change_ = 2;
    next_look_ = 4;
  } else {
    append(window_, steps);
  }
  if (faster_or_slower) profile_ = speeds_.adopt();
  const bool again = !other_loads && time_to_look_again();
  if (!faster_or_slower && !other_loads && !again) return std::nullopt;
  using Reason = ReplanRecord::Reason;
  return replan_now(!faster_or_slower ? Reason::loads
                    : other_loads     ? Reason::both
                                      : Reason::speeds);
}

std::optional<Change> Adaptation::replan_now(ReplanRecord::Reason reason) {
  const double begin = wall_seconds();
  const TokenRule rule = token_rule(options_.token_split, cost());
  ReplanOptions how = options_.replan;
  how.move_seconds = move_seconds_;
  how.split = rule.spec();
  Replan found = replan(placement_, window_, rule.cost, how);
  const double gain = found.before - found.after;
  const bool pays = gain > kLeastGain * found.before;
  if (pays) placement_ = std::move(found.placement);
  // What is expected from here on, changed or not.
  loads_.expect(pays ? found.after : found.before);
  if (!pays) return std::nullopt;
  return Change{reason, gain, wall_seconds() - begin};
}

}  // namespace gembench::inline run
