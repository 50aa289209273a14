#include "placement/exchange/bounded_json.hpp"

#include <fmt/format.h>

#include <limits>

#include "placement/error.hpp"

namespace gembench {

using nlohmann::json;

json parse_bounded_json(const std::string& text, int max_depth, std::int64_t max_values) {
  std::int64_t values = 0;
  try {
    return json::parse(text, [&](int depth, json::parse_event_t, json&) {
      if (depth > max_depth || ++values > max_values)
        throw usage_error("it is nested too deeply or has too many values");
      return true;
    });
  } catch (const json::parse_error& error) {
    throw usage_error(fmt::format("it is no JSON from byte {} on", error.byte));
  }
}

const json& json_member(const json& object, std::string_view name) {
  if (!object.is_object()) throw usage_error(fmt::format("'{}' needs an object around it", name));
  const auto found = object.find(name);
  if (found == object.end()) throw usage_error(fmt::format("'{}' is missing", name));
  return *found;
}

std::int64_t json_whole(const json& value, std::int64_t least, std::int64_t most,
                        std::string_view what) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<std::uint64_t>() <=
                         static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  const auto number = fits ? value.get<std::int64_t>() : least;
  if (!fits || number < least || number > most)
    throw usage_error(fmt::format("{} must be a whole number from {} to {}", what, least, most));
  return number;
}

}  // namespace gembench
