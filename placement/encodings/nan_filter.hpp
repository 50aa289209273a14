#pragma once

#include <string>

namespace gembench::inline encodings {

/// Python writes NaN, Infinity and -Infinity into JSON, which has no such numbers. They become
/// empty texts of the same length, which no reader takes for a count: elsewhere in a file they do
/// no harm. Works char by char, for files of any size.
class NanFilter {
 public:
  /// What stands for `c`, which `next` follows (0 at the end).
  [[nodiscard]] char pass(char c, char next);

 private:
  const char* word_ = nullptr;  ///< rest of the word that is being replaced
  bool quoted_ = false, escaped_ = false, second_quote_ = false;
};

/// The same for a text in memory.
void replace_nans(std::string& text);

}  // namespace gembench::inline encodings
