#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/run_length.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Whether intervals are looked at after so many blocks of so many steps in all: at 6, 8, 12, 16,
/// 24, ... blocks, and not before 24 steps. Fixed beforehand, and few: the more often one looks,
/// the sooner one stops at intervals that are narrow by chance.
[[nodiscard]] bool is_checkpoint(int blocks, int steps);

/// What rank 0 knows of a run while it goes on: decides when it ends.
class StopWatch {
 public:
  StopWatch(const StopRule& rule, int placements);

  /// The readings of a segment, [step][rank].
  void add(const Segment& segment, const std::vector<double>& step_time, int ranks);
  /// Asked after every block that all placements have run, `steps` in all of each, `seconds` after
  /// measuring began: why the run ends here, in words; nothing when it goes on.
  [[nodiscard]] std::optional<std::string> ends(int steps, double seconds) const;
  /// The largest half width of a placement's interval against the first; none without intervals.
  [[nodiscard]] std::optional<double> widest() const;

 private:
  StopRule rule_;
  std::vector<std::vector<double>> seconds_;  // [placement][block] slowest rank, summed over steps
};

}  // namespace gembench::inline run
