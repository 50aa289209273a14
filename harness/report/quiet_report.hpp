#pragma once

#include <limits>
#include <string>
#include <vector>

#include "results/run_reader.hpp"

/// How quiet the machine was, from results.h5, for people and for other code.
namespace gembench::inline report {

/// The readings of one run; parts are empty in files before 2.5.0 and in unfinished ones.
struct QuietReadings {
  std::string clock;  ///< "wall", "cpu-time" or "gpu-stamps", the run's
  QuietState before, after;
  std::vector<QuietUse> during;  ///< [rank]
};
[[nodiscard]] QuietReadings quiet_readings(const RunReader& file);

/// The worst over ranks and over before and after. NaN = not known.
struct QuietSummary {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double lost = kNone;           ///< share of the time, on the run's clock
  int lost_rank = -1;            ///< where
  bool lost_after = false;       ///< and when
  double lost_spread = kNone;    ///< largest less smallest `lost` of ranks at one moment
  double longest_pause = kNone;  ///< s of wall time
  double switches = kNone;       ///< involuntary, of one rank and step
  double steal = kNone, other_work = kNone, pressure = kNone;  ///< shares while it was measured
  double skew_median = kNone, skew_p99 = kNone;                ///< s, between ranks after a barrier
};
[[nodiscard]] QuietSummary summarise(const QuietReadings& readings);

/// Above these limits a machine counts as noisy. A placement is worth 5 to 15 % of a step: noise
/// that costs single ranks as much can imitate or hide that. A hypervisor takes whole milliseconds,
/// during which every clock here keeps running, so the limit for steal is lower.
inline constexpr double kNoisyLost = 0.05, kNoisySpread = 0.05, kNoisyOther = 0.10,
                        kNoisySteal = 0.02;

/// "3.1 % of time lost to other work (longest pause 4.2 ms), steal 0.4 %, ...": only known values;
/// empty if there are none.
[[nodiscard]] std::string quiet_line(const QuietReadings& readings);
/// What a command calls its measurement.
struct QuietWords {
  const char* measuring = "steps were measured";
  const char* all = "the run";
  const char* longer = "--steps";  ///< the option
};
inline constexpr QuietWords kQuietProfile{"profiling", "the profile", "--profile-seconds"};
inline constexpr QuietWords kQuietProbe{"probing", "the probe", "--max-seconds"};

/// Sentences, with what to do; none when it was quiet.
[[nodiscard]] std::vector<std::string> quiet_warnings(const QuietReadings& readings,
                                                      const QuietWords& words = {});

}  // namespace gembench::inline report
