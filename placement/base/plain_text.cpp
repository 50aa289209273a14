#include "placement/base/plain_text.hpp"

#include <fmt/format.h>

#include "placement/base/error.hpp"

namespace gembench::inline base {

std::string_view without_bom(std::string_view text) {
  constexpr std::string_view kBom = "\xef\xbb\xbf";
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  return text;
}

void refuse_utf16(std::string_view text, std::string_view name) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    throw usage_error(fmt::format("{} is a text in UTF-16; save it as UTF-8", name));
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

}  // namespace gembench::inline base
