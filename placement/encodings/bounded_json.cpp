#include "placement/encodings/bounded_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxMembers = 65536;  // of an object; the largest have one a layer

}  // namespace

Json parse_bounded_json(std::string_view text, std::int64_t max_values) {
  std::int64_t values = 0;
  std::vector<std::unordered_set<std::string>> names;  // of the objects that are open
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kMaxDepth || ++values > max_values)
      throw usage_error("it is nested too deeply or has too many values");
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      if (names.back().size() == kMaxMembers) throw usage_error("it has too many members");
      const auto& name = value.get_ref<const std::string&>();
      if (!names.back().insert(name).second)
        throw usage_error(fmt::format("'{}' stands there twice", name));
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::parse_error& error) {
    throw usage_error(fmt::format("it is no JSON from byte {} on", error.byte));
  } catch (const Json::exception& error) {
    throw usage_error(error.what());
  }
}

const Json& field(const Json& object, std::string_view name) {
  if (!object.is_object()) throw usage_error(fmt::format("'{}' needs an object around it", name));
  const auto found = object.find(name);
  if (found == object.end()) throw usage_error(fmt::format("'{}' is missing", name));
  return *found;
}

std::int64_t whole_between(const Json& value, std::int64_t least, std::int64_t most,
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

int whole(const Json& value, const std::string& name) {
  using Limits = std::numeric_limits<int>;
  try {
    return static_cast<int>(whole_between(value, Limits::min(), Limits::max(), name));
  } catch (const Error&) {
    throw usage_error(fmt::format("'{}' is no whole number of 32 bits", name));
  }
}

const Json& array_of(const Json& value, int size, std::string_view name) {
  if (size < 0 || !value.is_array() || value.size() != static_cast<std::size_t>(size))
    throw usage_error(fmt::format("'{}' is no list of {}", name, size));
  return value;
}

const Json& any_array(const Json& value, std::string_view name) {
  if (!value.is_array() || value.empty())
    throw usage_error(fmt::format("'{}' is no list, or an empty one", name));
  return value;
}

std::vector<std::int32_t> whole_list(const Json& value, const std::string& name) {
  std::vector<std::int32_t> list;
  for (const auto& item : any_array(value, name)) list.push_back(whole(item, name));
  return list;
}

void only_fields(const Json& object, std::initializer_list<std::string_view> names) {
  if (!object.is_object()) throw usage_error("it is no JSON object");
  for (const auto& [name, value] : object.items())
    if (std::ranges::find(names, name) == names.end())
      throw usage_error(fmt::format("it has a member '{}', which the engine refuses", name));
}

}  // namespace gembench::inline encodings
