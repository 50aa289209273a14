#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// One line per placement under a line of names; seconds.
[[nodiscard]] std::string as_csv(const RunReader& file, const Comparison& comparison);
/// What CSV holds, with the run's conditions; seconds.
[[nodiscard]] std::string as_json(const RunReader& file, const Comparison& comparison,
                                  const std::string& path);

}  // namespace gembench::inline report
