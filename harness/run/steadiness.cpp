#include "harness/run/steadiness.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "placement/base/statistics.hpp"

namespace gembench::inline run {
namespace {

constexpr std::size_t kLeast = 3;   // values in either half
constexpr int kPartsOfWindow = 64;  // steps are averaged over such a part: many may be short
constexpr const char* kNames[] = {"temperature", "clock", "step time"};

void add(std::deque<TimedValue>& values, TimedValue value, double window) {
  values.push_back(value);
  while (values.front().at <= value.at - window) values.pop_front();
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
double median(const std::vector<double>& values) {
  return quantile(values, 0.5);
}

/// Whether the halves of the window before `now` differ by no more than `allowed`.
bool halves_agree(const std::deque<TimedValue>& values, double now, double window, double allowed,
                  double (*middle)(const std::vector<double>&), bool relative) {
  std::vector<double> first, second;
  for (const TimedValue& one : values) {
    if (one.at <= now - window) continue;
    (one.at <= now - window / 2 ? first : second).push_back(one.value);
  }
  if (first.size() < kLeast || second.size() < kLeast) return false;
  const double before = middle(first), after = middle(second);
  return std::abs(after - before) <= allowed * (relative ? std::abs(before) : 1);
}

}  // namespace

void SteadyWatch::add_step(double at, double seconds) {
  if (std::isnan(steps_begin_)) steps_begin_ = at;
  step_sum_ += seconds;
  ++step_count_;
  if (at - steps_begin_ < rule_.window / kPartsOfWindow) return;
  add(steps_, {at, step_sum_ / step_count_}, rule_.window);
  step_sum_ = step_count_ = 0;
  steps_begin_ = at;
}

void SteadyWatch::add_state(double at, const DeviceState& state) {
  if (!std::isnan(state.temperature)) add(temperatures_, {at, state.temperature}, rule_.window);
  if (!std::isnan(state.clock)) add(clocks_, {at, state.clock}, rule_.window);
}

int SteadyWatch::unsteady(double now) const {
  const bool whole = now - begin_ >= rule_.window;
  int found = kNothing;
  const auto judge = [&](const auto& values, double allowed, auto middle, bool relative, int bit) {
    if (!whole || !halves_agree(values, now, rule_.window, allowed, middle, relative)) found |= bit;
  };
  if (!temperatures_.empty()) judge(temperatures_, rule_.temperature, mean, false, kTemperature);
  if (!clocks_.empty()) judge(clocks_, rule_.clock, mean, true, kClock);
  judge(steps_, rule_.step_time, median, true, kStepTime);
  return found;
}

std::string words_of(int unsteady) {
  std::vector<std::string> names;
  for (int bit = 0; bit < 3; ++bit) {
    if ((unsteady & (1 << bit)) != 0) names.emplace_back(kNames[bit]);
  }
  return fmt::format("{}", fmt::join(names, " and "));
}

}  // namespace gembench::inline run
