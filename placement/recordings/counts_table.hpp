#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "placement/encodings/byte_stream.hpp"

namespace gembench::inline recordings {

/// What the columns of a table of counts are, by the names that people give them. Wide tables have
/// a column of counts for every expert, long ones a column `expert` and one `count`.
struct CountColumns {
  enum class Role : std::uint8_t { none, index, step, layer, rank, expert, count, wide };
  char separator = ',';
  std::vector<Role> roles;  ///< by column
  std::vector<std::string> names;
  int experts = 0;  ///< columns of counts; 0 in a long table

  [[nodiscard]] bool has(Role role) const;
  /// Names of the columns that nothing is made of.
  [[nodiscard]] std::string unused() const;
};

/// None for a header that is not one of counts; `why` is then a sentence.
[[nodiscard]] std::optional<CountColumns> parse_count_header(std::string_view line,
                                                             std::string& why);

/// A row; what has no column is 0.
struct CountRow {
  std::int64_t step = 0, rank = 0, line = 0;
  std::int32_t layer = 0;
  std::int32_t expert = 0;           ///< of a long table
  std::vector<std::int64_t> counts;  ///< by expert; one in a long table
};

/// Reads such a table row by row. Usage errors name the file and line.
class CountsTable {
 public:
  explicit CountsTable(const std::filesystem::path& path);

  [[nodiscard]] const CountColumns& columns() const { return columns_; }
  /// False at the end. With `with_counts` false only step, layer and rank are read.
  [[nodiscard]] bool next(CountRow& row, bool with_counts = true);
  [[noreturn]] void refuse(std::int64_t line, const std::string& why) const;
  [[noreturn]] void refuse(const std::string& why) const { refuse(number_, why); }

 private:
  std::int64_t whole(std::string_view cell, std::size_t column, std::int64_t most) const;

  std::filesystem::path path_;
  ByteStream in_;
  CountColumns columns_;
  std::string line_;
  std::int64_t number_ = 0;
};

}  // namespace gembench::inline recordings
