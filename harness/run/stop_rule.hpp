#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/run_length.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Whether intervals are checked after this many blocks and steps: at 6, 8, 12, 16, 24, ... blocks,
/// and not before 24 steps. The checks are few and fixed in advance, since with more checks a run
/// stops sooner at intervals that are narrow by chance.
[[nodiscard]] bool is_checkpoint(int blocks, int steps);

/// Rank 0's knowledge of a running run; decides when it ends.
class StopWatch {
 public:
  StopWatch(const StopRule& rule, int placements);

  /// The readings of a segment, [step][rank].
  void add(const Segment& segment, const std::vector<double>& step_time, int ranks);
  /// Called after every block that all placements have run, after `steps` steps of each and
  /// `seconds` of measuring: the reason to end the run here, or nothing to continue.
  [[nodiscard]] std::optional<std::string> ends(int steps, double seconds) const;
  /// The largest half width of a placement's interval against the first; none without intervals.
  [[nodiscard]] std::optional<double> widest() const;

 private:
  StopRule rule_;
  std::vector<std::vector<double>> seconds_;  // [placement][block] slowest rank, summed over steps
};

}  // namespace gembench::inline run
