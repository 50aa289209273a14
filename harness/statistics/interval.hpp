#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gembench::inline statistics {

/// Fewer pairs give no interval: the widest one that signed ranks can give for 5 pairs covers the
/// truth in only 94 % of all cases, and correlation cannot be estimated from so few.
inline constexpr int kLeastBlocks = 6;
inline constexpr double kNormal = 1.959963984540054;  ///< quantile: two-sided 95 %

/// Of neighbours in time: a larger one cannot be told from a trend in so few values.
inline constexpr double kMostCorrelation = 0.6;

/// A relative difference between paired times; all are fractions (-0.05 = 5 % less).
struct Difference {
  double mean =
      0;  ///< of the sums, which include the cost of disturbed steps; NaN = nothing measured
  double typical =
      0;  ///< of a typical pair, robust against single disturbed steps; NaN = nothing measured
  std::optional<double> low, high;  ///< 95 % interval of `typical`; none below kLeastBlocks blocks
  int blocks = 0;                   ///< pairs
  /// Standard error of log(1 + typical), corrected for correlated pairs; none without interval.
  std::optional<double> error;
};

/// Compares b with a: step times of the same steps. `block` says which steps ran together: a
/// block's two sums are a pair, in order of time. Steps with NaN or block -1 in either are left
/// out.
///
/// `typical` is the Hodges-Lehmann estimate of the pairs' log ratios: the median of the means of
/// all pairs of them. Its interval is that of Wilcoxon's signed ranks (Hollander, Wolfe and
/// Chicken, "Nonparametric Statistical Methods", 3.4), widened for correlated successive pairs: by
/// sqrt((1 + r) / (1 - r)) with r the correlation of neighbours, which is estimated from residuals
/// cut at 2.5 robust standard deviations and raised by what few pairs underestimate it, and by
/// Student's t at as many degrees of freedom as there are independent pairs. Coverage is measured
/// by tests/bench/coverage.py. `comparisons`: intervals of so many comparisons hold together with
/// 95 % (Bonferroni).
[[nodiscard]] Difference paired_difference(const std::vector<double>& a,
                                           const std::vector<double>& b,
                                           const std::vector<std::int64_t>& block,
                                           int comparisons = 1);

/// From log ratios in order of time; `mean` is then that of their geometric mean.
[[nodiscard]] Difference typical_difference(std::span<const double> log_ratios,
                                            int comparisons = 1);

/// Residuals of values from their centre, in robust standard deviations and cut at 2.5; zeros if
/// most values are the same.
[[nodiscard]] std::vector<double> robust_rest(std::span<const double> values, double centre);

/// The number of successive values that are worth one independent value: (1 + r) / (1 - r), where
/// r, 0 to 0.6, is the correlation of neighbours in time. The estimate of r from n values is too
/// low by (1 + 3 r) / n in the mean and scatters by about 0.9 / sqrt(n), and runs end early where
/// it is low by chance: a quarter more than the bias and 0.7 / sqrt(n) are added, with which
/// intervals are rather too wide than too narrow. 1 where all of `rest` is the same.
[[nodiscard]] double alike(std::vector<double> rest);

/// Of Student's t.
[[nodiscard]] double student_quantile(double freedom, double probability);

}  // namespace gembench::inline statistics
