#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// What `run` prints at its end and `compare` prints of the same file, in the format asked for:
/// table, csv or json.
[[nodiscard]] std::string run_report(const RunReader& file, const Comparison& comparison,
                                     const std::string& path, const std::string& format);
/// Compares with the first placement.
[[nodiscard]] std::string run_report(const std::string& path, const std::string& format);

}  // namespace gembench::inline report
