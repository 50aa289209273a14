#pragma once

#include <vector>

#include "placement/base/random.hpp"

/// Made data of known truth, for bench_coverage: `n` values around 0 in order of time, in units of
/// the noise.
namespace gembench {

[[nodiscard]] double standard_normal(Random& random);
[[nodiscard]] std::vector<double> independent(Random& random, int n);
[[nodiscard]] std::vector<double> heavy(Random& random, int n);  ///< Student's t, 3 degrees
/// One in 20 is off by up to 20, either way.
[[nodiscard]] std::vector<double> disturbed(Random& random, int n);
/// One in 20 is larger by up to 20, by 20, or one in 50 by up to 40.
[[nodiscard]] std::vector<double> delayed(Random& random, int n);
[[nodiscard]] std::vector<double> doubled(Random& random, int n);
[[nodiscard]] std::vector<double> seldom_delayed(Random& random, int n);
[[nodiscard]] std::vector<double> autoregressive(Random& random, int n);  ///< AR(1), 0.5
[[nodiscard]] std::vector<double> drifting(Random& random, int n);        ///< by 2 from end to end
/// Half of the variance is that of blocks of so many.
template <int size>
[[nodiscard]] std::vector<double> in_blocks(Random& random, int n) {
  std::vector<double> values;
  double shared = 0;
  for (int i = 0; i < n; ++i) {
    if (i % size == 0) shared = standard_normal(random);
    values.push_back((shared + standard_normal(random)) / 1.4142135623730951);
  }
  return values;
}

}  // namespace gembench
