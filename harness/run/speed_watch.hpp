#pragma once

#include <cstddef>
#include <vector>

#include "placement/speeds/profile.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Tells from the readings of a run whether ranks have become faster or slower than their profile
/// says, against each other: what all ranks share (another clock of the whole machine) is no drift.
/// All of it ours.
class SpeedWatch {
 public:
  /// `profile`: what the run was planned with.
  explicit SpeedWatch(const Profile& profile);

  /// Readings of one segment. True when some rank's speed has changed: by more than kLeast and by
  /// more than kNoise times what it fluctuates by (kMost is believed however it fluctuates), in two
  /// segments one after the other.
  [[nodiscard]] bool observe(const SegmentRecord& block, const RunShape& shape);
  /// [rank] time of its experts against the profile, 1 = as profiled; relative to the median rank.
  [[nodiscard]] const std::vector<double>& factors() const { return factors_; }
  /// The profile as it is now. From here on change is counted from it.
  [[nodiscard]] Profile adopt();

  static constexpr double kLeast = 0.05;
  static constexpr double kNoise = 4;
  static constexpr double kMost = 0.3;

 private:
  [[nodiscard]] std::vector<double> measured_factors(const SegmentRecord& block,
                                                     const RunShape& shape) const;

  Profile profile_;
  CostModel cost_;                            // of the expert phase alone
  std::vector<double> factors_;               // [rank] the last segments' mean
  std::vector<std::vector<double>> history_;  // [segment][rank] since the last adoption
  int suspicious_ = 0;                        // segments in a row
};

}  // namespace gembench::inline run
