#pragma once

#include <deque>
#include <limits>
#include <string>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline run {

/// When a rank counts as steady: over the last `window`, the two halves differ by no more than
/// this.
struct SteadyRule {
  double window = 10;        ///< s
  double temperature = 0.5;  ///< degree C between the halves' means
  double clock = 0.005;      ///< share, between the halves' means
  double step_time = 0.02;   ///< share, between the halves' medians
};

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

  /// Bits of what is not steady: what has been read for less than a window is not, what the device
  /// never reports does not count.
  enum Unsteady { kNothing = 0, kTemperature = 1, kClock = 2, kStepTime = 4 };
  [[nodiscard]] int unsteady(double now) const;

 private:
  SteadyRule rule_;
  double begin_;
  std::deque<TimedValue> temperatures_, clocks_, steps_;
  double step_sum_ = 0, steps_begin_ = std::numeric_limits<double>::quiet_NaN();
  int step_count_ = 0;
};

/// "temperature and step time"
[[nodiscard]] std::string words_of(int unsteady);

}  // namespace gembench::inline run
