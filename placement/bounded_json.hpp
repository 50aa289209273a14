#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gembench {

/// JSON of files that may be hostile. All functions throw usage errors that say what is wrong and
/// leave naming the file to the caller.
/// Members are looked up in a tree: nlohmann::ordered_json goes through all of them for each.
using Json = nlohmann::json;

/// Parses a whole document of little depth. Stops while it parses, before memory is spent, at more
/// values than a placement can have; refuses names that an object has twice.
[[nodiscard]] Json parse_bounded_json(std::string_view text);

/// A member that must be there.
[[nodiscard]] const Json& field(const Json& object, const char* name);
/// A whole number of 32 bits; `name` for the sentence.
[[nodiscard]] int whole(const Json& value, const std::string& name);
/// A list of exactly `size`, or of any size.
[[nodiscard]] const Json& array_of(const Json& value, int size, const std::string& name);
[[nodiscard]] const Json& any_array(const Json& value, const std::string& name);
/// Whole numbers of 32 bits.
[[nodiscard]] std::vector<std::int32_t> whole_list(const Json& value, const std::string& name);
/// Refuses members other than these: a loader would.
void only_fields(const Json& object, std::initializer_list<std::string_view> names);

}  // namespace gembench
