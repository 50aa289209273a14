#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gembench::inline profiler {

/// When a piecewise-linear curve is good enough.
struct LoadPointRules {
  double tolerance = 0.02;  ///< share of the latency that the line between two load points may miss
  std::size_t max_load_points = 48;  ///< those of the coarse sweep included
  double least_share = 1 / 32.;  ///< an interval narrower than this share of its load is left alone
};

/// A load to measure between two load points.
struct Probe {
  std::int64_t low = 0;
  std::int64_t at = 0;
  std::int64_t high = 0;
  bool operator==(const Probe&) const = default;
};

/// Finds steps in a curve: every interval between two load points is probed once. If a probe is off
/// the line between the ends, it becomes a load point and both parts are probed, the worst first. A
/// probe lies at 0.38 of its interval (golden section), since a staircase of two equal steps is on
/// the line in the middle. So a kink is found if it is 2.6 times the tolerance, a step likewise.
/// Uses no clock: its result is a function of its arguments.
class LoadPointSearch {
 public:
  /// `load_points`: the coarse ones, ascending from 0. `unit`: probes are multiples of it, the
  /// experts of a rank, so that all get as many tokens.
  LoadPointSearch(std::vector<std::int64_t> load_points, std::int64_t unit,
                  const LoadPointRules& rules = {});

  /// What to measure next; empty when every interval is explained or no load point is left to
  /// spend.
  [[nodiscard]] const std::vector<Probe>& probes() const { return probes_; }
  /// `missed`: for every probe, how far it is from the line, as missed_by() says, on the rank where
  /// that is most.
  void judge(std::span<const double> missed);
  [[nodiscard]] const std::vector<std::int64_t>& load_points() const { return load_points_; }

 private:
  struct Interval {
    std::int64_t low = 0, high = 0;
    double missed = 0;
  };
  void open(std::int64_t low, std::int64_t high, double missed);
  void choose();

  std::vector<std::int64_t> load_points_;
  std::int64_t unit_;
  LoadPointRules rules_;
  std::vector<Interval> open_;
  std::vector<Probe> probes_;
};

/// Readings of a probe and of the load points around it, taken side by side: [repeat] each.
struct ProbeReadings {
  std::span<const double> low, at, high;
};
/// Share of its latency by which a probe is off the line between its neighbours: the least over
/// repeats, and 0 unless it was off to the same side in all of them, so that noise is no step.
[[nodiscard]] double missed_by(const Probe& probe, const ProbeReadings& readings);

}  // namespace gembench::inline profiler
