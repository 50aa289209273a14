// vllm-ascend's expert_map_path: every device of every MoE layer with its experts, in order. Its
// loader goes by the order of the lists, takes the distinct experts of the first device for the
// slots of all, and so shifts every slot where a device holds an expert twice.
// https://github.com/vllm-project/vllm-ascend, vllm_ascend/eplb

#include <fmt/format.h>

#include "placement/base/error.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kName = "vllm-ascend";

bool recognise(std::string_view content) {
  return mentions(content, "moe_layer_count") && mentions(content, "layer_list");
}

void require_index(const Json& object, const char* name, std::size_t index,
                   const std::string& where) {
  if (!object.is_object()) throw usage_error(fmt::format("{} is no JSON object", where));
  if (whole(field(object, name), name) != static_cast<int>(index))
    throw usage_error(fmt::format("{} says {} {}; the loader uses the order, so they must agree",
                                  where, name, field(object, name).dump()));
}

PlacementFile read(std::string_view content, const StatedShape& stated) {
  const Json json = parse_bounded_json(content);
  only_fields(json, {"moe_layer_count", "layer_list"});
  const int layers = whole(field(json, "moe_layer_count"), "moe_layer_count");
  std::vector<SlotRow> rows;
  std::size_t devices = 0;
  std::size_t slots = 0;
  for (const auto& layer : array_of(field(json, "layer_list"), layers, "layer_list")) {
    const auto where = fmt::format("layer_list[{}]", rows.size());
    require_index(layer, "layer_id", rows.size(), where);
    const int count = whole(field(layer, "device_count"), "device_count");
    const auto& list = array_of(field(layer, "device_list"), count, where + ".device_list");
    if (rows.empty()) devices = list.size();
    if (list.empty() || list.size() != devices)
      throw usage_error(fmt::format("{} has {} devices, the first has {}", where, count, devices));
    auto& row = rows.emplace_back();
    for (std::size_t device = 0; device < devices; ++device) {
      const auto there = fmt::format("{}.device_list[{}]", where, device);
      require_index(list[device], "device_id", device, there);
      const auto experts = whole_list(field(list[device], "device_expert"), there);
      if (slots == 0) slots = experts.size();
      if (experts.size() != slots)
        throw usage_error(
            fmt::format("{} has {} experts, the first device has {}; the loader needs the same "
                        "number on every device",
                        there, experts.size(), slots));
      row.insert(row.end(), experts.begin(), experts.end());
    }
  }
  return placement_of_rows(rows, {static_cast<int>(devices), stated.layers, stated.experts}, kName);
}

std::string write(const PlacementFile& file) {
  require_full(file.placement, kName);
  require_once(file.placement, kName);
  const auto& placement = file.placement;
  using Ordered = nlohmann::ordered_json;
  auto layers = Ordered::array();
  for (int layer = 0; layer < placement.layers; ++layer) {
    auto devices = Ordered::array();
    for (int rank = 0; rank < placement.ranks; ++rank) {
      const auto experts = placement.on_rank(layer, rank);
      devices.push_back(
          {{"device_id", rank}, {"device_expert", SlotRow(experts.begin(), experts.end())}});
    }
    layers.push_back({{"layer_id", layer},
                      {"device_count", placement.ranks},
                      {"device_list", std::move(devices)}});
  }
  return Ordered{{"moe_layer_count", placement.layers}, {"layer_list", std::move(layers)}}.dump(1);
}

std::string usage(const PlacementFile& file, const std::string& path) {
  const int redundant = redundant_slots(file.placement);
  return fmt::format(
      "--additional-config '{{\"eplb_config\": {{\"expert_map_path\": \"{}\"{}}}}}'", path,
      redundant > 0 ? fmt::format(", \"num_redundant_experts\": {}", redundant) : "");
}

}  // namespace

const PlacementFormat kVllmAscendFormat = {
    kName,
    "vllm-ascend, expert_map_path",
    "which layers are dense; where it comes from",
    recognise,
    read,
    write,
    usage,
    {},
    "vllm-ascend (the loaders of 0.11.0, 0.13.0, 0.18.0 and 0.23.0 were tried)"};

}  // namespace gembench::inline exchange
