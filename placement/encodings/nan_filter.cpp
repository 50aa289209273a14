#include "placement/encodings/nan_filter.hpp"

namespace gembench::inline encodings {
namespace {

constexpr char kNoJson = '\x01';  // refused by every parser, within texts too

}  // namespace

char NanFilter::pass(char c, char next) {
  if (word_) {
    if (c != *word_) {
      word_ = nullptr;
      return kNoJson;
    }
    if (*++word_ == '\0') word_ = nullptr;
    const bool closes = second_quote_;
    second_quote_ = false;
    return closes ? '"' : ' ';
  }
  if (quoted_) {
    const bool ends = c == '"' && !escaped_;
    escaped_ = c == '\\' && !escaped_;
    quoted_ = !ends;
    return c;
  }
  quoted_ = c == '"';
  const bool begins = c == 'N' || c == 'I' || (c == '-' && next == 'I');
  if (!begins) return c;
  word_ = c == 'N' ? "aN" : c == 'I' ? "nfinity" : "Infinity";
  second_quote_ = true;
  return '"';
}

void replace_nans(std::string& text) {
  if (text.find("NaN") == std::string::npos && text.find("Infinity") == std::string::npos) return;
  NanFilter filter;
  for (std::size_t i = 0; i < text.size(); ++i)
    text[i] = filter.pass(text[i], i + 1 < text.size() ? text[i + 1] : '\0');
}

}  // namespace gembench::inline encodings
