#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// The output of `run` at its end and of `compare` for the same file, in the chosen format: table,
/// csv or json.
[[nodiscard]] std::string run_report(const RunReader& file, const Comparison& comparison,
                                     const std::string& path, const std::string& format);
/// Compares with the first placement.
[[nodiscard]] std::string run_report(const std::string& path, const std::string& format);

}  // namespace gembench::inline report
