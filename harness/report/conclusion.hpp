#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Lines under the differences: why measuring ended and, of each placement whose interval holds
/// zero, whether that bounds its difference or what would decide it.
[[nodiscard]] std::string conclusion_lines(const RunReader& file, const Comparison& comparison);

/// Of an interval that holds zero: how many times as long a run takes at this noise until it is off
/// zero or within +-`precision`, whichever is sooner. 1 = it is within already.
[[nodiscard]] double times_longer(const Difference& difference, double precision);

}  // namespace gembench::inline report
