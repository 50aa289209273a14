#pragma once

#include <string>
#include <string_view>

/// What editors and spreadsheets add to texts means nothing.
namespace gembench::inline base {

/// The text without the byte order mark of UTF-8 at its beginning.
[[nodiscard]] std::string_view without_bom(std::string_view text);

/// Usage error for a text in UTF-16, which spreadsheets also write; `name` for the sentence.
void refuse_utf16(std::string_view text, std::string_view name);

/// The text with ASCII letters in lower case.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace gembench::inline base
