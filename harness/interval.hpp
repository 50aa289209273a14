#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace gembench {

/// A relative difference with a 95 % interval; all three are fractions (-0.05 = 5 % less).
struct Difference {
  double mean = 0;
  std::optional<double> low, high;  ///< none with fewer than two blocks
  int blocks = 0;
};

/// Paired block bootstrap of sum(b) / sum(a) - 1, where a and b are step times of the same steps
/// and `block` says which steps ran together: whole blocks are drawn with replacement (10,000
/// times, fixed seed). With few blocks percentile intervals are too narrow; they are widened as in
/// Hesterberg 2015, "What Teachers Should Know About the Bootstrap" (expanded percentile interval).
/// Steps with NaN or block -1 in either are left out.
[[nodiscard]] Difference paired_difference(const std::vector<double>& a,
                                           const std::vector<double>& b,
                                           const std::vector<std::int64_t>& block);

}  // namespace gembench
