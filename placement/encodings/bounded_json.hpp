#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

/// JSON of files that may be hostile. All functions throw usage errors that say what is wrong; the
/// caller adds the file's name.
namespace gembench::inline encodings {

/// Members are looked up in a tree; nlohmann::ordered_json searches all of them linearly.
using Json = nlohmann::json;

/// A parsed value takes far more memory than its text.
inline constexpr std::int64_t kMaxJsonValues = std::int64_t{1} << 24;

/// Parses a document of limited depth. Stops during parsing, before memory is allocated, at more
/// than `max_values`; rejects duplicate names in an object.
[[nodiscard]] Json parse_bounded_json(std::string_view text,
                                      std::int64_t max_values = kMaxJsonValues);

/// A required member of a value that must be an object.
[[nodiscard]] const Json& field(const Json& object, std::string_view name);
/// A whole number of [least, most]; `what` for the sentence.
[[nodiscard]] std::int64_t whole_between(const Json& value, std::int64_t least, std::int64_t most,
                                         std::string_view what);
/// A whole number of 32 bits; `name` for the sentence.
[[nodiscard]] int whole(const Json& value, const std::string& name);
/// A list of exactly `size`, or of any size. Names are views: GCC 13 and later take a reference to a
/// temporary for what is returned (-Wdangling-reference).
[[nodiscard]] const Json& array_of(const Json& value, int size, std::string_view name);
[[nodiscard]] const Json& any_array(const Json& value, std::string_view name);
/// Whole numbers of 32 bits.
[[nodiscard]] std::vector<std::int32_t> whole_list(const Json& value, const std::string& name);
/// Rejects members other than these, as the loader does.
void only_fields(const Json& object, std::initializer_list<std::string_view> names);

}  // namespace gembench::inline encodings
