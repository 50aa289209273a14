#pragma once

#include <cstddef>
#include <vector>

#include "placement/speeds/profile.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Detects from the readings of a run whether ranks have become faster or slower relative to each
/// other and to their profile. A change that all ranks share (such as the machine's clock rate) is
/// no drift. All of it is ours.
class SpeedWatch {
 public:
  /// `profile`: the profile used for planning.
  explicit SpeedWatch(const Profile& profile);

  /// Readings of one segment. True when some rank's speed has changed: by more than kLeast and by
  /// more than kNoise times its fluctuation (any fluctuation for changes above kMost), in two
  /// successive segments.
  [[nodiscard]] bool observe(const SegmentRecord& block, const RunShape& shape);
  /// [rank] time of its experts against the profile, 1 = as profiled; relative to the median rank.
  [[nodiscard]] const std::vector<double>& factors() const { return factors_; }
  /// The current profile, from which changes are counted from now on.
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
