#include "harness/report/csv.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gembench::inline report {

std::string to_text(const CsvTable& table) {
  std::string text = fmt::format("{}\n", fmt::join(table.columns, ","));
  for (const auto& line : table.lines) text += fmt::format("{}\n", fmt::join(line, ","));
  return text;
}

std::string csv_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

}  // namespace gembench::inline report
