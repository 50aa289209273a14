#include "placement/placement_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "placement/checked.hpp"
#include "placement/input_file.hpp"

namespace gembench {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "gembench-placement";
constexpr const char* kVersion = "1.0.0";
constexpr int kMajor = 1;
constexpr std::uintmax_t kMaxBytes = std::uintmax_t{256} << 20;
// A parsed value takes far more memory than its text: hostile files are stopped while parsing.
constexpr int kMaxDepth = 8;
constexpr std::int64_t kMaxValues = std::int64_t{1} << 25;

Json slots_to_json(const Placement& placement) {
  auto all = Json::array();
  for (int layer = 0; layer < placement.layers; ++layer) {
    auto ranks = Json::array();
    for (int rank = 0; rank < placement.ranks; ++rank) {
      const auto slots = placement.on_rank(layer, rank);
      ranks.push_back(std::vector<std::int32_t>(slots.begin(), slots.end()));
    }
    all.push_back(std::move(ranks));
  }
  return all;
}

Json parse(const std::string& text) {
  std::int64_t values = 0;
  return Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth || ++values > kMaxValues)
      throw usage_error("it is nested too deeply or has too many values for a placement");
    return true;
  });
}

const Json& field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw usage_error(fmt::format("'{}' is missing", name));
  return *found;
}

int whole(const Json& value, const std::string& name) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number <= static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
      return static_cast<int>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (number >= std::numeric_limits<int>::min()) return static_cast<int>(number);
  }
  throw usage_error(fmt::format("'{}' is no whole number of 32 bits", name));
}

std::string text_or_empty(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (!found->is_string()) throw usage_error(fmt::format("'{}' is no text", name));
  return found->get<std::string>();
}

double seconds_or_zero(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return 0;
  const auto value = found->is_number() ? found->get<double>() : -1;
  if (!std::isfinite(value) || value < 0)
    throw usage_error(fmt::format("'{}' is no time in seconds", name));
  return value;
}

const Json& array_of(const Json& value, int size, const std::string& name) {
  if (!value.is_array() || value.size() != static_cast<std::size_t>(size))
    throw usage_error(fmt::format("'{}' is no list of {}", name, size));
  return value;
}

void require_schema(const Json& json) {
  if (!json.is_object() || text_or_empty(json, "schema") != kSchema)
    throw usage_error(fmt::format("it does not say \"schema\": \"{}\"", kSchema));
  const auto version = text_or_empty(json, "schema_version");
  if (!version.starts_with(fmt::format("{}.", kMajor)))
    throw usage_error(
        fmt::format("its schema version is '{}', this program reads {}.x", version, kMajor));
}

PlacementFile from_json(const Json& json) {
  require_schema(json);
  PlacementFile file;
  auto& placement = file.placement;
  placement.layers = whole(field(json, "layers"), "layers");
  placement.ranks = whole(field(json, "ranks"), "ranks");
  placement.slots = whole(field(json, "slots"), "slots");
  placement.experts = whole(field(json, "experts"), "experts");
  placement.strategy = text_or_empty(json, "strategy");
  const auto& layers = array_of(field(json, "slot_expert"), placement.layers, "slot_expert");
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto layer_name = fmt::format("slot_expert[{}]", l);
    const auto& ranks = array_of(layers[l], placement.ranks, layer_name);
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      const auto rank_name = fmt::format("{}[{}]", layer_name, r);
      for (const auto& expert : array_of(ranks[r], placement.slots, rank_name))
        placement.slot_expert.push_back(whole(expert, rank_name));
    }
  }
  validate(placement);
  file.model = text_or_empty(json, "model");
  if (json.contains("seed")) {
    if (!json["seed"].is_number_unsigned()) throw usage_error("'seed' is no unsigned number");
    file.seed = json["seed"].get<std::uint64_t>();
  }
  file.predicted_step = seconds_or_zero(json, "predicted_step");
  file.bound_step = seconds_or_zero(json, "bound_step");
  file.trace_source = text_or_empty(json, "trace_source");
  file.profile_source = text_or_empty(json, "profile_source");
  file.program = text_or_empty(json, "program");
  return file;
}

void require_time(double value, const char* name) {
  if (!std::isfinite(value) || value < 0)
    throw usage_error(
        fmt::format("{} of the placement is {}, which is no time in seconds", name, value));
}

Error cannot_write(const std::filesystem::path& path, const std::string& why) {
  return Error(ExitCode::output, fmt::format("{} cannot be written: {}", path.string(), why));
}

}  // namespace

void write_placement(const std::filesystem::path& path, const PlacementFile& file, bool overwrite) {
  const auto& placement = file.placement;
  validate(placement);
  require_time(file.predicted_step, "predicted_step");
  require_time(file.bound_step, "bound_step");
  std::error_code error;
  if (!overwrite && std::filesystem::exists(std::filesystem::symlink_status(path, error)))
    throw Error(
        ExitCode::output,
        fmt::format("{} exists already; choose another name or pass --overwrite", path.string()));
  const Json json = {{"schema", kSchema},
                     {"schema_version", kVersion},
                     {"program", file.program},
                     {"model", file.model},
                     {"strategy", placement.strategy},
                     {"seed", file.seed},
                     {"predicted_step", file.predicted_step},
                     {"bound_step", file.bound_step},
                     {"trace_source", file.trace_source},
                     {"profile_source", file.profile_source},
                     {"layers", placement.layers},
                     {"ranks", placement.ranks},
                     {"slots", placement.slots},
                     {"experts", placement.experts},
                     {"slot_expert", slots_to_json(placement)}};
  // A full disk or a kill must not leave half a placement under its name.
  auto partial = path;
  partial += ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  if (!out) throw cannot_write(path, std::strerror(errno));
  // Sources may hold file names in any encoding; a broken character must not lose the placement.
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  out.close();
  if (out) std::filesystem::rename(partial, path, error);
  if (!out || error) {
    const auto why = error ? error.message() : std::string(std::strerror(errno));
    std::filesystem::remove(partial, error);
    throw cannot_write(path, why);
  }
}

PlacementFile read_placement(const std::filesystem::path& path) {
  const auto text = read_input_file(path, kMaxBytes);
  try {
    return from_json(parse(text));
  } catch (const Json::exception& error) {
    throw usage_error(fmt::format("{} is no placement: {}", path.string(), error.what()));
  } catch (const Error& error) {
    throw usage_error(fmt::format("{} is no placement: {}", path.string(), error.what()));
  }
}

}  // namespace gembench
