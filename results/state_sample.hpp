#pragma once

#include <cstdint>
#include <limits>

namespace gembench::inline results {

/// One of the readings of a GPU that are made many times a second. NaN or -1 = not reported.
struct StateSample {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  /// s on the rank's own clock since the epoch of start_time: the middle of the reading. Negative:
  /// before the first measured step.
  double time = kNone;
  double took = kNone;                 ///< s, the reading: `time` is right within half of it
  double clock = kNone;                ///< Hz, of the multiprocessors
  double memory_clock = kNone;         ///< Hz
  double power = kNone;                ///< W
  double temperature = kNone;          ///< degree Celsius
  double energy = kNone;               ///< J, since some time before
  std::int64_t throttle_reasons = -1;  ///< NVML's bit mask
  /// Which start of the run: 0 the first, one more at every --resume, each with an epoch of its
  /// own.
  std::int32_t job = 0;
};

}  // namespace gembench::inline results
