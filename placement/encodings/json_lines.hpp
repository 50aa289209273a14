#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "placement/encodings/byte_stream.hpp"

namespace gembench::inline encodings {

/// JSON lines, bare or as server-sent events (`data: {..}`, `data: [DONE]`). Empty lines, and
/// events' comments and fields other than data, are skipped.
class JsonLines {
 public:
  JsonLines(const std::filesystem::path& path, std::size_t max_bytes);

  /// The next line that holds JSON; false at the end.
  [[nodiscard]] bool next(std::string& text);
  [[nodiscard]] std::int64_t line() const { return line_; }  ///< of the last text, from 1
  /// Takes all that follows the last text, for documents over several lines.
  [[nodiscard]] std::string rest(std::size_t max_bytes);
  /// Calls `take` for every line. Its errors get the file's name and line. A last line that is no
  /// JSON was cut off: it is left out, and true is returned, unless it is the only one.
  bool for_each(const std::function<void(std::string& text)>& take);

 private:
  bool only_empty_lines_left();

  std::string name_;
  ByteStream in_;
  std::size_t max_bytes_;
  std::int64_t line_ = 0;
};

}  // namespace gembench::inline encodings
