#pragma once

#include <string>

#include "harness/report/comparison.hpp"
#include "harness/report/csv.hpp"

namespace gembench::inline report {

/// One line per placement, and per pair where it has several; seconds.
[[nodiscard]] CsvTable csv_table(const Comparison& comparison);
/// The content of the CSV with the run's conditions; seconds.
[[nodiscard]] std::string as_json(const RunReader& file, const Comparison& comparison,
                                  const std::string& path);

}  // namespace gembench::inline report
