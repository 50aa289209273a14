#include "placement/encodings/json_lines.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "placement/base/error.hpp"
#include "placement/encodings/nan_filter.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::string_view kData = "data:";

/// Other lines of a stream of events.
bool is_event_field(std::string_view line) {
  for (const std::string_view field : {":", "event:", "id:", "retry:"})
    if (line.starts_with(field)) return true;
  return false;
}

}  // namespace

JsonLines::JsonLines(const std::filesystem::path& path, std::size_t max_bytes)
    : name_(path.string()), in_(path), max_bytes_(max_bytes) {}

bool JsonLines::next(std::string& text) {
  while (in_.read_line(text, max_bytes_)) {
    ++line_;
    if (text.starts_with(kData)) text.erase(0, kData.size());
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string::npos || is_event_field(text)) continue;
    if (std::string_view(text).substr(first).starts_with("[DONE]")) continue;
    replace_nans(text);
    return true;
  }
  return false;
}

std::string JsonLines::rest(std::size_t max_bytes) {
  auto text = in_.read_rest(max_bytes);
  replace_nans(text);
  return text;
}

bool JsonLines::only_empty_lines_left() {
  std::string text;
  while (in_.read_line(text, max_bytes_))
    if (text.find_first_not_of(" \t") != std::string::npos) return false;
  return true;
}

bool JsonLines::for_each(const std::function<void(std::string& text)>& take) {
  std::string text;
  bool any = false;
  while (next(text)) {
    try {
      take(text);
      any = true;
    } catch (const Error& error) {
      if (any && !nlohmann::json::accept(text) && only_empty_lines_left()) return true;
      const std::string why = error.what();
      if (error.code() != ExitCode::usage || why.starts_with(name_)) throw;
      throw usage_error(fmt::format("{}:{}: {}", name_, line_, why));
    }
  }
  return false;
}

}  // namespace gembench::inline encodings
