#pragma once

#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// How to print: the format is table, csv or json; `bold` as as_table() has it.
struct ReportStyle {
  std::string format;
  bool bold = false;
};

/// The output of `run` at its end and of `compare` for the same file.
[[nodiscard]] std::string run_report(const RunReader& file, const Comparison& comparison,
                                     const std::string& path, const ReportStyle& style);
/// Compares with the first placement.
[[nodiscard]] std::string run_report(const std::string& path, const ReportStyle& style);

}  // namespace gembench::inline report
