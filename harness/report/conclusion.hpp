#pragma once

#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Lines under the differences: why measuring ended and, of more than two placements, for each
/// whose interval includes zero, whether the interval bounds its difference or what would decide
/// it. Of two the verdict says that.
[[nodiscard]] std::string conclusion_lines(const RunReader& file, const Comparison& comparison);

/// Why there is no interval, and how to get one.
[[nodiscard]] std::string no_interval(const RunReader& file, int blocks);

/// What would decide these differences, whose intervals include zero or are missing.
[[nodiscard]] std::string what_decides(const RunReader& file, const Comparison& comparison,
                                       const std::vector<Difference>& open);

/// For an interval that includes zero: how many times as long a run must be at this noise until the
/// interval excludes zero or is within +-`precision`, whichever comes first. 1 = it already is.
[[nodiscard]] double times_longer(const Difference& difference, double precision);

}  // namespace gembench::inline report
