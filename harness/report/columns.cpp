#include "harness/report/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gembench::inline report {
namespace {

constexpr std::size_t kLeastWidth = 6, kLeastName = 12;

std::size_t width_of(const TextColumn& column) {
  std::size_t width = std::max(kLeastWidth, column.heading.size());
  for (const std::string& cell : column.cells) width = std::max(width, cell.size());
  return width;
}

}  // namespace

std::string shown(double value, const Column& as) {
  return shown(value, as.digits, as.factor);
}

std::string text_table(const std::string& name, const std::vector<std::string>& rows,
                       const std::vector<TextColumn>& columns, std::optional<int> bold) {
  std::size_t names = std::max(kLeastName, name.size());
  for (const std::string& row : rows) names = std::max(names, row.size());
  std::string titles = fmt::format("# {:<{}}", "", names);
  std::string headings = fmt::format("# {:<{}}", name, names);
  std::vector<std::string> lines;
  for (const std::string& row : rows) lines.push_back(fmt::format("  {:<{}}", row, names));
  for (std::size_t first = 0; first < columns.size();) {
    const std::string& over = columns[first].over;
    std::size_t end = first + 1, across = width_of(columns[first]);
    for (; end < columns.size() && !over.empty() && columns[end].over == over; ++end) {
      across += 1 + width_of(columns[end]);
    }
    // A title wider than its columns widens the first of them.
    const std::size_t wider = over.size() > across ? over.size() - across : 0;
    const std::size_t right = end - first > 1 ? (across + wider - over.size()) / 2 : 0;
    titles += fmt::format("  {:>{}}{:{}}", over, across + wider - right, "", right);
    for (std::size_t i = first; i < end; ++i) {
      const std::string gap = i == first ? "  " : " ";
      const std::size_t width = width_of(columns[i]) + (i == first ? wider : 0);
      headings += fmt::format("{}{:>{}}", gap, columns[i].heading, width);
      for (std::size_t row = 0; row < lines.size(); ++row) {
        lines[row] += fmt::format("{}{:>{}}", gap, columns[i].cells[row], width);
      }
    }
    first = end;
  }
  titles.erase(titles.find_last_not_of(' ') + 1);
  std::string text = titles + '\n' + headings + '\n';
  for (std::size_t row = 0; row < lines.size(); ++row) {
    text += emphasised(lines[row], bold == static_cast<int>(row)) + '\n';
  }
  return text;
}

std::string emphasised(const std::string& line, bool bold) {
  return bold ? fmt::format("\x1b[1m{}\x1b[0m", line) : line;
}

}  // namespace gembench::inline report
