#pragma once

#include <string>
#include <vector>

namespace gembench::inline cli {

// Names in our tables, as an option takes them: what completions offer.

[[nodiscard]] std::vector<std::string> model_words();
[[nodiscard]] std::vector<std::string> strategy_words();
/// "builtin:l40s/qwen3-30b-a3b", ...
[[nodiscard]] std::vector<std::string> step_system_words();
[[nodiscard]] std::vector<std::string> profile_words();
[[nodiscard]] std::vector<std::string> step_system_words();
[[nodiscard]] std::vector<std::string> slowdown_words();
/// Formats of placements; with `written` also those of traffic, which convert writes.
[[nodiscard]] std::vector<std::string> placement_format_words(bool written);

}  // namespace gembench::inline cli
