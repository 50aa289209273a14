#include "harness/run/steadiness.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "placement/base/statistics.hpp"

namespace gembench::inline run {
namespace {

constexpr std::size_t kLeast = 3;   // values in either half
constexpr int kPartsOfWindow = 64;  // steps are averaged over such a part: many may be short
constexpr std::size_t kNamed = 8;   // ranks
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

enum class Verdict { steady, changes, too_few };

/// Whether the halves of the window before `now` differ by no more than `allowed`.
Verdict judge_halves(const std::deque<TimedValue>& values, double now, double window,
                     double allowed, double (*middle)(const std::vector<double>&), bool relative) {
  std::vector<double> first, second;
  for (const TimedValue& one : values) {
    if (one.at <= now - window) continue;
    (one.at <= now - window / 2 ? first : second).push_back(one.value);
  }
  if (first.size() < kLeast || second.size() < kLeast) return Verdict::too_few;
  const double before = middle(first), after = middle(second);
  const bool agree = std::abs(after - before) <= allowed * (relative ? std::abs(before) : 1);
  return agree ? Verdict::steady : Verdict::changes;
}

/// "clock and step time of rank 1, clock of rank 3 and of 5 more ranks" of the lowest three bits,
/// shifted; empty: of none.
std::string who(const std::vector<int>& bits, int shift) {
  std::vector<std::string> found;
  std::size_t more = 0;
  for (std::size_t rank = 0; rank < bits.size(); ++rank) {
    std::vector<std::string> names;
    for (int bit = 0; bit < 3; ++bit) {
      if ((bits[rank] / shift & (1 << bit)) != 0) names.emplace_back(kNames[bit]);
    }
    if (names.empty()) continue;
    if (found.size() == kNamed) {
      ++more;
      continue;
    }
    found.push_back(fmt::format("{} of rank {}", fmt::join(names, " and "), rank));
  }
  return fmt::format("{}{}", fmt::join(found, ", "),
                     more == 0 ? "" : fmt::format(" and of {} more", more));
}

}  // namespace

double SteadyWatch::window() const {
  if (last_.empty()) return rule_.window;
  return std::max(rule_.window, kStepsOfWindow * *std::ranges::min_element(last_));
}

void SteadyWatch::add_step(double at, double seconds) {
  if (std::isnan(steps_begin_)) steps_begin_ = at;
  last_.push_back(std::isnan(previous_) ? seconds : at - previous_);  // with what is between steps
  previous_ = at;
  if (last_.size() > kStepsOfWindow) last_.pop_front();
  step_sum_ += seconds;
  ++step_count_;
  if (at - steps_begin_ < window() / kPartsOfWindow) return;
  add(steps_, {at, step_sum_ / step_count_}, window());
  step_sum_ = step_count_ = 0;
  steps_begin_ = at;
}

void SteadyWatch::add_state(double at, const DeviceState& state) {
  if (!std::isnan(state.temperature)) add(temperatures_, {at, state.temperature}, window());
  if (!std::isnan(state.clock)) add(clocks_, {at, state.clock}, window());
}

int SteadyWatch::unsteady(double now) const {
  const double window = this->window();
  const bool whole = now - begin_ >= window;
  int found = kNothing;
  const auto judge = [&](const auto& values, double allowed, auto middle, bool relative, int bit) {
    const Verdict verdict =
        whole ? judge_halves(values, now, window, allowed, middle, relative) : Verdict::too_few;
    if (verdict == Verdict::changes) found |= bit;
    if (verdict == Verdict::too_few) found |= bit * kTooFew;
  };
  if (!temperatures_.empty()) judge(temperatures_, rule_.temperature, mean, false, kTemperature);
  if (!clocks_.empty()) judge(clocks_, rule_.clock, mean, true, kClock);
  judge(steps_, rule_.step_time, median, true, kStepTime);
  return found;
}

std::string words_of(const std::vector<int>& unsteady) {
  const std::string changed = who(unsteady, 1), few = who(unsteady, SteadyWatch::kTooFew);
  std::vector<std::string> words;
  if (!changed.empty()) words.push_back(fmt::format("{} still changed", changed));
  if (!few.empty()) words.push_back(fmt::format("too few readings of the {}", few));
  return fmt::format("{}", fmt::join(words, "; "));
}

}  // namespace gembench::inline run
