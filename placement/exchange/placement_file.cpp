#include "placement/exchange/placement_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "placement/base/error.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/files/input_file.hpp"
#include "placement/files/whole_file.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kSchema = "gembench-placement";
constexpr const char* kVersion = "1.2.0";
constexpr std::size_t kDigits = 16;  // hexadecimal, of a digest
constexpr int kMajor = 1;

nlohmann::ordered_json slots_to_json(const Placement& placement) {
  auto all = nlohmann::ordered_json::array();
  for (int layer = 0; layer < placement.layers; ++layer) {
    auto ranks = nlohmann::ordered_json::array();
    for (int rank = 0; rank < placement.ranks; ++rank)
      ranks.push_back(slots_of_rank(placement, layer, rank));
    all.push_back(std::move(ranks));
  }
  return all;
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

void require_schema(const Json& json) {
  if (!json.is_object() || text_or_empty(json, "schema") != kSchema)
    throw usage_error(fmt::format("it does not say \"schema\": \"{}\"", kSchema));
  const auto version = text_or_empty(json, "schema_version");
  if (!version.starts_with(fmt::format("{}.", kMajor)))
    throw usage_error(
        fmt::format("its schema version is '{}', this program reads {}.x", version, kMajor));
}

void require_layers(const PlacementFile& file) {
  const auto& ids = file.layer_ids;
  const auto layers = static_cast<std::size_t>(file.placement.layers);
  if (!ids.empty() && (ids.size() != layers || ids.front() < 0 ||
                       !std::ranges::is_sorted(ids, std::ranges::less_equal{})))
    throw usage_error(fmt::format(
        "its layer_ids are no {} ascending indices of layers; state them again", layers));
  const int last = file.layer_id(file.placement.layers - 1);
  if (last >= kMaxModelLayers || file.model_layers > kMaxModelLayers)
    throw usage_error(fmt::format("no model has more than {} layers", kMaxModelLayers));
  if (file.model_layers != 0 && file.model_layers <= last)
    throw usage_error(
        fmt::format("layer {} does not belong to a model of {} layers", last, file.model_layers));
}

std::string digits_of(const std::vector<std::uint64_t>& digests) {
  std::string text;
  for (const auto digest : digests) text += fmt::format("{:016x}", digest);
  return text;
}

std::vector<std::uint64_t> digests_in(const Json& object, const char* name) {
  const auto text = text_or_empty(object, name);
  std::vector<std::uint64_t> digests;
  for (std::size_t at = 0; at < text.size(); at += kDigits) {
    std::uint64_t digest = 0;
    const auto* end = text.data() + std::min(at + kDigits, text.size());
    if (const auto read = std::from_chars(text.data() + at, end, digest, 16);
        read.ec != std::errc{} || read.ptr != text.data() + at + kDigits)
      throw usage_error(
          fmt::format("'{}' of planned_on is no digests of {} digits", name, kDigits));
    digests.push_back(digest);
  }
  return digests;
}

nlohmann::ordered_json record_to_json(const PlanningRecord& record) {
  auto parts = nlohmann::ordered_json::array();
  for (const auto& part : record.parts)
    parts.push_back({{"trace", digits_of({part.trace})},
                     {"first", part.first},
                     {"steps", digits_of(part.steps)}});
  return {{"digest_version", kDigestVersion}, {"complete", record.complete}, {"parts", parts}};
}

/// Digests of another version are ignored.
std::optional<PlanningRecord> record_of(const Json& json) {
  const auto found = json.find("planned_on");
  if (found == json.end()) return std::nullopt;
  if (whole(field(*found, "digest_version"), "digest_version") != kDigestVersion)
    return std::nullopt;
  PlanningRecord record;
  const auto& complete = field(*found, "complete");
  if (!complete.is_boolean())
    throw usage_error("'complete' of planned_on is neither true nor false");
  record.complete = complete.get<bool>();
  const auto& parts = field(*found, "parts");
  if (!parts.is_array()) throw usage_error("'parts' of planned_on is no list");
  for (const auto& part : parts) {
    const auto trace = digests_in(part, "trace");
    if (trace.size() != 1) throw usage_error("'trace' of planned_on is not one digest");
    record.parts.push_back(
        {trace[0], whole(field(part, "first"), "first"), digests_in(part, "steps")});
    if (record.parts.back().first < 0) throw usage_error("'first' of planned_on is below 0");
  }
  return record;
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
  separate_repeats(placement);
  validate(placement);
  if (json.contains("layer_ids")) file.layer_ids = whole_list(json["layer_ids"], "layer_ids");
  if (json.contains("model_layers"))
    file.model_layers = whole(json["model_layers"], "model_layers");
  require_layers(file);
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
  file.planned_on = record_of(json);
  return file;
}

void require_time(double value, const char* name) {
  if (!std::isfinite(value) || value < 0)
    throw usage_error(
        fmt::format("{} of the placement is {}, which is no time in seconds", name, value));
}

}  // namespace

std::string placement_to_json(const PlacementFile& file) {
  const auto& placement = file.placement;
  validate(placement);
  require_layers(file);
  require_time(file.predicted_step, "predicted_step");
  require_time(file.bound_step, "bound_step");
  nlohmann::ordered_json json = {{"schema", kSchema},
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
                                 {"experts", placement.experts}};
  if (!file.layer_ids.empty()) json["layer_ids"] = file.layer_ids;
  if (file.model_layers > 0) json["model_layers"] = file.model_layers;
  if (file.planned_on) json["planned_on"] = record_to_json(*file.planned_on);
  json["slot_expert"] = slots_to_json(placement);
  // Sources may hold file names in any encoding; a broken character must not lose the placement.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

PlacementFile placement_from_json(std::string_view text) {
  return from_json(parse_bounded_json(text));
}

void write_placement(const std::filesystem::path& path, const PlacementFile& file, bool overwrite) {
  write_whole_file(path, placement_to_json(file), overwrite);
}

void write_placement(const OutputOwner& owner, const PlacementFile& file, bool overwrite) {
  write_whole_file(owner, placement_to_json(file), overwrite);
}

PlacementFile read_placement(const std::filesystem::path& path) {
  const auto text = read_input_file(path, kMaxPlacementBytes);
  try {
    return placement_from_json(text);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{} is no placement: {}", path.string(), error.what()));
  }
}

}  // namespace gembench::inline exchange
