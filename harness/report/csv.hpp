#pragma once

#include <string>
#include <vector>

namespace gembench::inline report {

/// A table whose cells are written as they are: texts through csv_text().
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> lines;  ///< as many cells as columns
};
/// A header line, then the lines.
[[nodiscard]] std::string to_text(const CsvTable& table);

/// In quotes, which keep a comma in a label or a file name harmless.
[[nodiscard]] std::string csv_text(const std::string& text);

}  // namespace gembench::inline report
