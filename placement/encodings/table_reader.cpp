#include "placement/encodings/table_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::size_t kMaxLine = 1 << 16;

}  // namespace

char separator_of(std::string_view header) {
  char separator = ',';
  const auto often = [&](char c) { return std::count(header.begin(), header.end(), c); };
  for (const char c : {';', '\t'})
    if (often(c) > often(separator)) separator = c;
  return separator;
}

TableReader::TableReader(const std::filesystem::path& path) : name_(path.string()), in_(path) {
  if (!read_row(header_, true)) in_.refuse("is empty; its first line must name the columns");
}

std::optional<std::size_t> TableReader::column(
    std::initializer_list<std::string_view> names) const {
  for (const auto name : names) {
    const auto found = std::find_if(header_.begin(), header_.end(), [&](const auto& has) {
      return lower_case(has) == lower_case(name);
    });
    if (found != header_.end()) return static_cast<std::size_t>(found - header_.begin());
  }
  return std::nullopt;
}

std::size_t TableReader::need_column(std::initializer_list<std::string_view> names) const {
  const auto found = column(names);
  if (!found) in_.refuse(fmt::format("has no column {}; name it", fmt::join(names, " or ")));
  return *found;
}

bool TableReader::read_row(std::vector<std::string>& row, bool is_header) {
  do {
    if (!in_.read_line(line_, kMaxLine)) return false;
    ++number_;
  } while (line_.find_first_not_of(" \t") == std::string::npos);
  if (is_header) separator_ = separator_of(line_);
  row.assign(1, "");
  bool quoted = false;
  for (std::size_t i = 0; i < line_.size(); ++i) {
    const char c = line_[i];
    if (c == '"' && quoted && i + 1 < line_.size() && line_[i + 1] == '"') {
      row.back() += line_[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == separator_ && !quoted) {
      row.emplace_back();
    } else {
      row.back() += c;
    }
  }
  if (quoted) refuse("a quote is not closed in its line");
  return true;
}

bool TableReader::next() {
  if (!read_row(row_)) return false;
  if (row_.size() != header_.size())
    refuse(fmt::format("{} cells where the header names {}", row_.size(), header_.size()));
  return true;
}

std::int64_t TableReader::number(std::size_t column, std::int64_t most) const {
  const auto& text = row_[column];
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value < 0 || value > most)
    refuse(fmt::format("column {}: '{}' is not a whole number from 0 to {}", header_[column],
                       shown(text), most));
  return value;
}

double TableReader::real(std::size_t column) const {
  const auto& text = row_[column];
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || !std::isfinite(value))
    refuse(fmt::format("column {}: '{}' is not a number", header_[column], shown(text)));
  return value;
}

void TableReader::refuse(const std::string& why) const {
  throw usage_error(fmt::format("{}:{}: {}", name_, number_, why));
}

}  // namespace gembench::inline encodings
