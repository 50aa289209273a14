#pragma once

#include <string>
#include <vector>

namespace gembench::inline report {

/// A table whose cells are written as they are: texts through csv_text().
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> lines;  ///< as many cells as columns
};
/// Which of several tables under one header: the column `column` comes first and says `text` in
/// every line, and only the first table has the header. As it stands: a table of its own.
struct CsvPart {
  std::string column, text;
  bool first = true;
};
/// A header line, then the lines.
[[nodiscard]] std::string to_text(const CsvTable& table, const CsvPart& part = {});

/// In quotes, which keep a comma in a label or a file name harmless.
[[nodiscard]] std::string csv_text(const std::string& text);

}  // namespace gembench::inline report
