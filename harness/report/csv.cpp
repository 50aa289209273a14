#include "harness/report/csv.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gembench::inline report {

std::string to_text(const CsvTable& table, const CsvPart& part) {
  const bool named = !part.column.empty();
  std::string text;
  if (part.first) {
    text = fmt::format("{}{}{}\n", part.column, named ? "," : "", fmt::join(table.columns, ","));
  }
  for (const auto& line : table.lines) {
    text += fmt::format("{}{}{}\n", named ? csv_text(part.text) : "", named ? "," : "",
                        fmt::join(line, ","));
  }
  return text;
}

std::string csv_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

}  // namespace gembench::inline report
