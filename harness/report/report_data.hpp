#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// One line per placement under a header line; seconds.
[[nodiscard]] std::string as_csv(const RunReader& file, const Comparison& comparison);
/// The content of the CSV with the run's conditions; seconds.
[[nodiscard]] std::string as_json(const RunReader& file, const Comparison& comparison,
                                  const std::string& path);

}  // namespace gembench::inline report
