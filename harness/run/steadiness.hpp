#pragma once

#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline run {

/// When a rank counts as steady: over the last `window`, or over kStepsOfWindow steps as the
/// shortest of the last ones if that is longer, the two halves differ by no more than this.
struct SteadyRule {
  double window = 10;        ///< s, at least
  double temperature = 0.5;  ///< degree C between the halves' means
  double clock = 0.005;      ///< share, between the halves' means
  double step_time = 0.02;   ///< share, between the halves' medians
};

inline constexpr int kStepsOfWindow = 8;

/// A value and when it was read, s.
struct TimedValue {
  double at = 0, value = 0;
};

/// What a device is judged by while it warms up; holds the last window only.
class SteadyWatch {
 public:
  /// `begin`: s, when the work began.
  SteadyWatch(const SteadyRule& rule, double begin) : rule_(rule), begin_(begin) {}
  /// Times never decrease.
  void add_step(double at, double seconds);
  void add_state(double at, const DeviceState& state);

  /// Bits of what is not known to be steady; what the device never reports does not count. Times
  /// kTooFew: it has been read for less than a window, or less than 3 times in half of one, so
  /// nobody knows whether it changes.
  enum Unsteady { kNothing = 0, kTemperature = 1, kClock = 2, kStepTime = 4, kTooFew = 8 };
  [[nodiscard]] int unsteady(double now) const;

 private:
  [[nodiscard]] double window() const;

  SteadyRule rule_;
  double begin_;
  std::deque<TimedValue> temperatures_, clocks_, steps_;
  std::deque<double> last_;  // s, from step to step, of the last kStepsOfWindow
  double step_sum_ = 0, steps_begin_ = std::numeric_limits<double>::quiet_NaN();
  double previous_ = std::numeric_limits<double>::quiet_NaN();  // end of the last step
  int step_count_ = 0;
};

/// What all ranks' bits say: "clock of rank 1 still changed; too few readings of the step time of
/// rank 3". Of many ranks some are named. `unsteady`: [rank].
[[nodiscard]] std::string words_of(const std::vector<int>& unsteady);

}  // namespace gembench::inline run
