#pragma once

#include <cstddef>
#include <vector>

namespace gembench::inline speeds {

/// Every reading behind a profile. Points are the profile's load points, then those of its active
/// sweep, [load][active], then its routed loads.
struct ProfileSamples {
  int ranks = 0;
  std::size_t points = 0;
  std::size_t rounds = 0;
  std::vector<double> seconds;  ///< [rank][point][round]; NaN = not measured in that round

  /// The readings of a point in rounds [first, last), in order.
  [[nodiscard]] std::vector<double> of(int rank, std::size_t point, std::size_t first,
                                       std::size_t last) const;
  [[nodiscard]] std::vector<double> of(int rank, std::size_t point) const {
    return of(rank, point, 0, rounds);
  }
};

/// A median is tight when half of its interval is no more than this share of it.
inline constexpr double kTight = 0.01;

/// A median, its interval and its outliers.
struct Median {
  double value = 0;  ///< NaN of no readings
  double low = 0;    ///< 95 % interval; of fewer than kLeastReadings the range of them
  double high = 0;
  int readings = 0;
  int outliers = 0;  ///< kept in the median

  /// Half of the interval as a share of the median; infinite where there is no 95 % interval.
  [[nodiscard]] double half_width() const;

  /// The range of six readings contains the median in 1 - 2 / 2^6 = 96.9 % of cases; five readings
  /// are too few.
  static constexpr int kLeastReadings = 6;
};

/// The median with the narrowest interval between two order statistics at equal distance from both
/// ends that contains the true median with at least 95 %, for any distribution (the sign test's
/// interval); outliers are more than 3.5 in the modified z-score (Iglewicz and Hoaglin 1993, "How
/// to Detect and Handle Outliers"), none where more than half of the readings are equal. NaN is
/// left out.
[[nodiscard]] Median median_of(std::vector<double> readings);

/// Which readings are outliers by that rule; [reading], false for NaN.
[[nodiscard]] std::vector<bool> outliers_of(const std::vector<double>& readings);

}  // namespace gembench::inline speeds
