#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gembench::inline cli {

/// Prefix of built-in names such as "builtin:l40s/qwen3-30b-a3b".
inline constexpr std::string_view kBuiltin = "builtin:";

// Parsing texts of the command line. All functions throw usage errors that name the option and the
// remedy.

/// "a,b,c", "a, b"; blanks around parts and empty parts are left out.
[[nodiscard]] std::vector<std::string> split_list(const std::string& text);
/// "1024", "16K", "2M": binary multiples, as in nccl-tests.
[[nodiscard]] int parse_count(const std::string& option, const std::string& text);
/// A number, as its option names its value: seconds ("S") also as 500ms, 90s, 10m, 2h; a share
/// ("SHARE") also as 50%; percentage points ("P") also as 2%.
[[nodiscard]] double parse_real(const std::string& option, std::string_view value,
                                const std::string& text);
/// "1024,512,512"
[[nodiscard]] std::vector<int> parse_counts(const std::string& option, const std::string& text);
/// "1024", "64,256", or "64:16K:x4" and "64:256:64": from, to, factor or increment. Ascending, none
/// twice, at most 64.
[[nodiscard]] std::vector<int> parse_sweep(const std::string& option, const std::string& text);
/// Factors of 1 to 1000.
[[nodiscard]] std::vector<double> parse_slowdown(const std::string& text);

}  // namespace gembench::inline cli
