#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gembench {

/// Parses JSON that may be hostile: usage error, without the file's name, for what is none, and for
/// what nests deeper than `max_depth` or has more values than `max_values` (a value takes far more
/// memory than its text).
[[nodiscard]] nlohmann::json parse_bounded_json(const std::string& text, int max_depth,
                                                std::int64_t max_values);

/// The member of an object. Usage error where it is missing.
[[nodiscard]] const nlohmann::json& json_member(const nlohmann::json& object,
                                                std::string_view name);

/// A whole number of [least, most]. Usage error naming `what`.
[[nodiscard]] std::int64_t json_whole(const nlohmann::json& value, std::int64_t least,
                                      std::int64_t most, std::string_view what);

}  // namespace gembench
