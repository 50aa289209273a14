// TensorRT-LLM's moe_config.load_balancer: a YAML file whose model accepts no member beyond its
// own. Layers are looked up by their index in the whole model (a missing one is a KeyError); slot j
// of num_slots belongs to rank j / (num_slots / ep_size). `ep_size` is no member of it, but
// report_load_statistics.py wants one in a second file: it is read here and never written.
// https://github.com/NVIDIA/TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py, MoeLoadBalancerConfig

#include <fmt/format.h>

#include <map>
#include <optional>

#include "placement/base/error.hpp"
#include "placement/encodings/yaml_events.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kName = "trtllm";
constexpr const char* kAssignments = "initial_global_assignments";
using Kind = YamlEvents::Kind;

bool recognise(std::string_view content) {
  return content.find(kAssignments) != std::string_view::npos;
}

/// {layer: [slots]}
std::map<std::int32_t, SlotRow> read_assignments(YamlEvents& yaml) {
  std::map<std::int32_t, SlotRow> rows;
  yaml.expect(Kind::mapping, "a mapping of layers");
  for (;;) {
    const auto kind = yaml.next();
    if (kind == Kind::end_mapping) return rows;
    if (kind != Kind::value) yaml.refuse("here must be the index of a layer");
    if (yaml.count() >= kMaxModelLayers)
      yaml.refuse(fmt::format("there is no layer {} in any model", yaml.value()));
    const auto [row, is_new] = rows.try_emplace(yaml.count());
    if (!is_new) yaml.refuse(fmt::format("layer {} stands there twice", yaml.value()));
    yaml.expect(Kind::list, "a list of experts");
    for (;;) {
      const auto item = yaml.next();
      if (item == Kind::end_list) break;
      if (item != Kind::value) yaml.refuse("here must be an expert");
      row->second.push_back(yaml.count());
    }
  }
}

std::int32_t number(YamlEvents& yaml, std::string_view what) {
  yaml.expect(Kind::value, what);
  return yaml.count();
}

void once(YamlEvents& yaml, bool known, std::string_view name) {
  if (known) yaml.refuse(fmt::format("'{}' stands there twice", name));
}

struct LoadBalancer {
  std::optional<std::map<std::int32_t, SlotRow>> assignments;
  std::optional<std::int32_t> num_slots, ep_size, layer_updates;
};

LoadBalancer read_yaml(std::string_view content) {
  YamlEvents yaml(content);
  LoadBalancer config;
  yaml.expect(Kind::mapping, "a mapping");
  for (;;) {
    const auto kind = yaml.next();
    if (kind == Kind::end_mapping) break;
    if (kind != Kind::value) yaml.refuse("here must be the name of a member");
    const auto name = yaml.value();
    if (name == kAssignments) {
      once(yaml, config.assignments.has_value(), name);
      config.assignments = read_assignments(yaml);
    } else if (name == "num_slots" || name == "ep_size" || name == "layer_updates_per_iter") {
      auto& to = name == "num_slots" ? config.num_slots
                 : name == "ep_size" ? config.ep_size
                                     : config.layer_updates;
      once(yaml, to.has_value(), name);
      to = number(yaml, "a number");
    } else {
      yaml.refuse(fmt::format("it has a member '{}', which the engine refuses", name));
    }
  }
  yaml.expect(Kind::end, "the end");
  yaml.expect(Kind::end, "the end, and no second document");
  return config;
}

PlacementFile read(std::string_view content, const StatedShape& stated) {
  LoadBalancer config = read_yaml(content);
  if (!config.assignments || !config.num_slots)
    throw usage_error(fmt::format("it needs both {} and num_slots", kAssignments));
  StatedShape known = stated;
  if (config.ep_size) known.ranks = *config.ep_size;
  std::vector<SlotRow> rows;
  std::vector<std::int32_t> ids;
  for (auto& [id, row] : *config.assignments) {
    if (row.size() != static_cast<std::size_t>(*config.num_slots))
      throw usage_error(fmt::format("layer {} has {} slots where num_slots says {}", id, row.size(),
                                    *config.num_slots));
    ids.push_back(id);
    rows.push_back(std::move(row));
  }
  auto result = placement_of_rows(rows, known, kName);
  result.layer_ids = std::move(ids);
  return result;
}

std::string write(const PlacementFile& file) {
  require_full(file.placement, kName);
  const auto& placement = file.placement;
  std::string text = fmt::format("{}:\n", kAssignments);
  for (int layer = 0; layer < placement.layers; ++layer)
    text += fmt::format("  {}: [{}]\n", file.layer_id(layer),
                        row_text(slots_of_layer(placement, layer)));
  return text + fmt::format("layer_updates_per_iter: 0\nnum_slots: {}\n",
                            placement.ranks * placement.slots);
}

std::string usage(const PlacementFile& file, const std::string& path) {
  return fmt::format(
      "moe_config: {{load_balancer: {}}} in the YAML of --extra_llm_api_options, with "
      "moe_expert_parallel_size {}",
      path, file.placement.ranks);
}

}  // namespace

const PlacementFormat kTrtllmFormat = {
    kName,
    "TensorRT-LLM, moe_config.load_balancer",
    "ranks; layers of the whole model; where it comes from",
    recognise,
    read,
    write,
    usage,
    {},
    "TensorRT-LLM, with attention DP and more than one expert-parallel rank (its loader of 2026 "
    "was read, not run)"};

}  // namespace gembench::inline exchange
