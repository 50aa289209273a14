#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "placement/encodings/byte_stream.hpp"

namespace gembench::inline encodings {

/// The separator of a CSV file by its first line: a comma, or what is more frequent there of
/// semicolons and tabs.
[[nodiscard]] char separator_of(std::string_view header);

/// A CSV file (also with semicolons or tabs) whose first line names its columns, row by row. Cells
/// may stand in double quotes (without line ends). Errors are usage errors naming the file and
/// line.
class TableReader {
 public:
  explicit TableReader(const std::filesystem::path& path);

  /// The column with one of these names, whatever their case.
  [[nodiscard]] std::optional<std::size_t> column(
      std::initializer_list<std::string_view> names) const;
  /// Refuses a file without it.
  [[nodiscard]] std::size_t need_column(std::initializer_list<std::string_view> names) const;
  /// False at the end; refuses a row of another length than the header's. Empty lines are skipped.
  [[nodiscard]] bool next();
  [[nodiscard]] const std::string& cell(std::size_t column) const { return row_[column]; }
  /// A whole number of [0, most].
  [[nodiscard]] std::int64_t number(std::size_t column, std::int64_t most) const;
  /// Finite.
  [[nodiscard]] double real(std::size_t column) const;
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  bool read_row(std::vector<std::string>& row, bool is_header = false);

  std::string name_;
  ByteStream in_;
  char separator_ = ',';
  std::vector<std::string> header_, row_;
  std::string line_;
  std::int64_t number_ = 0;
};

}  // namespace gembench::inline encodings
