#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Lines under the differences: why measuring ended and, for each placement whose interval includes
/// zero, whether the interval bounds its difference or what would decide it.
[[nodiscard]] std::string conclusion_lines(const RunReader& file, const Comparison& comparison);

/// For an interval that includes zero: how many times as long a run must be at this noise until the
/// interval excludes zero or is within +-`precision`, whichever comes first. 1 = it already is.
[[nodiscard]] double times_longer(const Difference& difference, double precision);

}  // namespace gembench::inline report
