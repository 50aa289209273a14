#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gembench {

/// Fewer pairs give no interval: the narrowest that signed ranks can give at 5 pairs holds the
/// truth in 94 % of all cases, and correlation cannot be seen in so few.
inline constexpr int kLeastBlocks = 6;

/// A relative difference between paired times; all are fractions (-0.05 = 5 % less).
struct Difference {
  double mean = 0;     ///< of the sums: what disturbed steps cost is in it; NaN = nothing measured
  double typical = 0;  ///< of a pair: single disturbed steps do not pull it; NaN = nothing measured
  std::optional<double> low, high;  ///< 95 % interval of `typical`; none below kLeastBlocks blocks
  int blocks = 0;                   ///< pairs
};

/// b against a: step times of the same steps. `block` says which steps ran together: a block's two
/// sums are a pair, in order of time. Steps with NaN or block -1 in either are left out.
///
/// `typical` is the Hodges-Lehmann estimate of the pairs' log ratios: the median of the means of
/// all pairs of them. Its interval is that of Wilcoxon's signed ranks (Hollander, Wolfe and
/// Chicken, "Nonparametric Statistical Methods", 3.4), stretched for successive pairs that are
/// alike: by sqrt((1 + r) / (1 - r)) with r the correlation of neighbours, which is estimated from
/// residuals cut at 2.5 robust standard deviations and raised by what few pairs underestimate it,
/// and by Student's t at as many degrees of freedom as there are independent pairs. Coverage is
/// measured by tests/bench/coverage.py. `comparisons`: intervals of so many comparisons hold
/// together with 95 % (Bonferroni).
[[nodiscard]] Difference paired_difference(const std::vector<double>& a,
                                           const std::vector<double>& b,
                                           const std::vector<std::int64_t>& block,
                                           int comparisons = 1);

/// The same of log ratios in order of time; `mean` is then that of their geometric mean.
[[nodiscard]] Difference typical_difference(std::span<const double> log_ratios,
                                            int comparisons = 1);

}  // namespace gembench
