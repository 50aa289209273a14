#include "harness/report/quiet_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gembench::inline report {
namespace {

/// The larger; NaN counts as nothing.
double larger(double a, double b) {
  return std::fmax(a, b);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", share * 100);
}

/// "8 us", "4.2 ms": readable units.
std::string duration(double seconds) {
  constexpr double kMillisecond = 1e-3, kMicrosecond = 1e-6;
  return seconds >= kMillisecond ? fmt::format("{:.1f} ms", seconds / kMillisecond)
                                 : fmt::format("{:.0f} us", seconds / kMicrosecond);
}

void add(QuietSummary& summary, const QuietState& state, bool wall, bool after) {
  double least = NAN, most = NAN;
  for (std::size_t rank = 0; rank < state.ranks.size(); ++rank) {
    const QuietReading& reading = state.ranks[rank];
    const double lost = wall ? reading.lost : reading.lost_cpu;
    least = std::fmin(least, lost);
    most = larger(most, lost);
    if (lost > summary.lost || (std::isnan(summary.lost) && !std::isnan(lost))) {
      summary.lost = lost;
      summary.lost_rank = static_cast<int>(rank);
      summary.lost_after = after;
    }
    summary.longest_pause = larger(summary.longest_pause, reading.longest_pause);
  }
  summary.lost_spread = larger(summary.lost_spread, most - least);
  summary.skew_median = larger(summary.skew_median, state.barrier_skew_median);
  summary.skew_p99 = larger(summary.skew_p99, state.barrier_skew_p99);
}

}  // namespace

QuietReadings quiet_readings(const RunReader& file) {
  return {file.info().clock, file.info().quiet_before, file.end().quiet_after,
          file.end().quiet_during};
}

QuietSummary summarise(const QuietReadings& readings) {
  QuietSummary summary;
  const bool wall = readings.clock != "cpu-time";
  add(summary, readings.before, wall, false);
  add(summary, readings.after, wall, true);
  for (const QuietUse& use : readings.during) {
    summary.switches = larger(summary.switches, use.switches);
    summary.steal = larger(summary.steal, use.steal);
    summary.other_work = larger(summary.other_work, use.other_work);
    summary.pressure = larger(summary.pressure, use.pressure);
  }
  return summary;
}

std::string quiet_line(const QuietReadings& readings) {
  const QuietSummary s = summarise(readings);
  std::string text;
  const auto say = [&](double known, const std::string& what) {
    if (std::isfinite(known)) text += (text.empty() ? "" : ", ") + what;
  };
  // Thread CPU time does not pass while others work: there it is the core that is slowed down.
  say(s.lost, fmt::format("{} of {} (longest pause {})", percent(s.lost),
                          readings.clock != "cpu-time" ? "time lost to other work"
                                                       : "CPU time lost to disturbances",
                          duration(s.longest_pause)));
  say(s.other_work, "other programs used " + percent(s.other_work) + " of the CPUs");
  say(s.steal, "steal " + percent(s.steal));
  // Ranks that share CPUs wait for one another, which says nothing about the machine.
  if (readings.clock != "cpu-time") {
    say(s.pressure, "CPU pressure " + percent(s.pressure));
    say(s.switches, fmt::format("{:.1f} involuntary switches a step", s.switches));
  }
  say(s.skew_median,
      fmt::format("barrier exit skew {} (p99 {})", duration(s.skew_median), duration(s.skew_p99)));
  return text;
}

std::vector<std::string> quiet_warnings(const QuietReadings& readings, const QuietWords& words) {
  const QuietSummary s = summarise(readings);
  std::vector<std::string> warnings;
  const char* moment = s.lost_after ? "after" : "before";
  if (s.lost > kNoisyLost) {
    warnings.push_back(fmt::format(
        "the machine is noisy: {} {} rank {} lost {} of its {}time: stop other work there, or "
        "measure longer with more {}",
        moment, words.all, s.lost_rank, percent(s.lost), readings.clock != "cpu-time" ? "" : "CPU ",
        words.longer));
  }
  if (s.lost_spread > kNoisySpread) {
    warnings.push_back(
        fmt::format("ranks are disturbed unequally: what they lost differs by {} of the time, most "
                    "on rank {}: look for other work on its CPU",
                    percent(s.lost_spread), s.lost_rank));
  }
  if (s.other_work > kNoisyOther) {
    warnings.push_back(
        fmt::format("other programs used {} of the ranks' CPUs while {}: stop them, or give the "
                    "ranks CPUs of their own",
                    percent(s.other_work), words.measuring));
  }
  if (s.steal > kNoisySteal) {
    warnings.push_back(fmt::format(
        "the hypervisor took {} of the CPUs' time (steal) while {}: use a machine whose CPUs "
        "are not shared",
        percent(s.steal), words.measuring));
  }
  return warnings;
}

}  // namespace gembench::inline report
