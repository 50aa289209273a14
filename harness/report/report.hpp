#pragma once

#include <string>

#include "harness/report/comparison.hpp"
#include "harness/report/csv.hpp"

namespace gembench::inline report {

/// How to print: the format is table, csv or json; `bold` as as_table() has it; `part` of a sweep.
struct ReportStyle {
  std::string format;
  bool bold = false;
  CsvPart part = {};
};

/// The output of `run` at its end and of `compare` for the same file.
[[nodiscard]] std::string run_report(const RunReader& file, const Comparison& comparison,
                                     const std::string& path, const ReportStyle& style);

}  // namespace gembench::inline report
