// Proposals by vLLM's users; none is merged as of 2026-11.
//   vllm-map       [[slots] for every MoE layer], or one [slots] for all; eplb_config
//                  .initial_expert_map_path of https://github.com/vllm-project/vllm/pull/49572
//   vllm-jsonl     a line with record_type eplb_initial_mapping; eplb_config.initial_mapping_path
//   of
//                  https://github.com/vllm-project/vllm/pull/41141. Lines of other types are
//                  skipped
//   vllm-rank-map  {"expert_to_ep_rank": [rank of every expert]}, for all layers, without replicas;
//                  https://github.com/vllm-project/vllm/issues/34297

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kMap = "vllm-map";
constexpr const char* kJsonl = "vllm-jsonl";
constexpr const char* kRankMap = "vllm-rank-map";
constexpr const char* kMapping = "eplb_initial_mapping";
constexpr const char* kAssignments = "initial_global_assignments";
constexpr const char* kExpertRank = "expert_to_ep_rank";

/// Layers of a file that has one map for all of them.
int stated_layers(const StatedShape& stated, const char* format) {
  if (stated.layers < 1)
    throw usage_error(fmt::format(
        "this file of {} has one map for all layers and does not say how many; add --layers N",
        format));
  return stated.layers;
}

bool is_map(std::string_view content) {
  const auto first = content.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && content[first] == '[';
}

PlacementFile read_map(std::string_view content, const StatedShape& stated) {
  const Json json = parse_bounded_json(content);
  std::vector<SlotRow> rows;
  if (any_array(json, "the map")[0].is_array()) {
    for (const auto& row : json) rows.push_back(whole_list(row, fmt::format("[{}]", rows.size())));
  } else {
    const auto row = whole_list(json, "the map");
    const int layers = stated_layers(stated, kMap);
    require_slots(layers, static_cast<std::int64_t>(row.size()));
    rows.assign(static_cast<std::size_t>(layers), row);
  }
  return placement_of_rows(rows, stated, kMap);
}

std::string write_map(const PlacementFile& file) {
  require_full(file.placement, kMap);
  return rows_text(file.placement);
}

std::string use_map(const PlacementFile& file, const std::string& path) {
  return fmt::format(
      "--eplb-config '{{\"initial_expert_map_path\": \"{}\", \"num_redundant_experts\": {}}}'",
      path, redundant_slots(file.placement));
}

bool is_jsonl(std::string_view content) {
  return mentions(content, kMapping);
}

PlacementFile mapping_of(const Json& json, const StatedShape& stated) {
  if (whole(field(json, "version"), "version") != 1)
    throw usage_error("its version is not 1, which is all that is known here");
  const int slots = whole(field(json, "num_slots"), "num_slots");
  const int redundant = whole(field(json, "num_redundant_experts"), "num_redundant_experts");
  const auto& assignments = field(json, kAssignments);
  if (!assignments.is_object()) throw usage_error(fmt::format("'{}' is no object", kAssignments));
  std::vector<SlotRow> rows;
  for (std::size_t layer = 0; layer < assignments.size(); ++layer) {
    const auto key = fmt::format("{}", layer);
    const auto& row = array_of(field(assignments, key.c_str()), slots, key);
    rows.push_back(whole_list(row, key));
  }
  if (redundant < 0 || redundant >= slots)
    throw usage_error(fmt::format("{} redundant experts in {} slots cannot be", redundant, slots));
  if (stated.experts > 0 && stated.experts != slots - redundant)
    throw usage_error(
        fmt::format("it places {} experts, {} were stated", slots - redundant, stated.experts));
  return placement_of_rows(rows, {stated.ranks, stated.layers, slots - redundant}, kJsonl);
}

PlacementFile read_jsonl(std::string_view content, const StatedShape& stated) {
  std::optional<PlacementFile> found;
  while (!content.empty()) {
    const auto end = content.find('\n');
    const auto line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (!mentions(line, kMapping)) continue;
    const Json json = parse_bounded_json(line);
    if (!json.is_object() || field(json, "record_type") != kMapping) continue;
    if (found) throw usage_error("it holds two mappings; keep one line");
    found = mapping_of(json, stated);
  }
  if (!found) throw usage_error(fmt::format("it has no line with record_type {}", kMapping));
  return *found;
}

std::string write_jsonl(const PlacementFile& file) {
  require_full(file.placement, kJsonl);
  const auto& placement = file.placement;
  std::string text = fmt::format(
      "{{\"record_type\": \"{}\", \"version\": 1, \"num_redundant_experts\": {}, \"num_slots\": "
      "{}, "
      "\"{}\": {{",
      kMapping, redundant_slots(placement), placement.ranks * placement.slots, kAssignments);
  for (int layer = 0; layer < placement.layers; ++layer)
    text += fmt::format("{}\"{}\": [{}]", layer == 0 ? "" : ", ", layer,
                        row_text(slots_of_layer(placement, layer)));
  return text + "}}\n";
}

std::string use_jsonl(const PlacementFile& file, const std::string& path) {
  return fmt::format(
      "--eplb-config '{{\"initial_mapping_path\": \"{}\", \"num_redundant_experts\": {}}}'", path,
      redundant_slots(file.placement));
}

bool is_rank_map(std::string_view content) {
  return mentions(content, kExpertRank);
}

PlacementFile read_rank_map(std::string_view content, const StatedShape& stated) {
  const Json json = parse_bounded_json(content);
  only_fields(json, {kExpertRank});
  const auto ranks = whole_list(field(json, kExpertRank), kExpertRank);
  if (std::ranges::min(ranks) < 0 || std::ranges::max(ranks) >= kMaxExperts)
    throw usage_error(fmt::format("'{}' names ranks that cannot be", kExpertRank));
  const int count = stated.ranks > 0 ? stated.ranks : std::ranges::max(ranks) + 1;
  std::vector<SlotRow> on_rank(static_cast<std::size_t>(count));
  for (std::size_t expert = 0; expert < ranks.size(); ++expert) {
    if (ranks[expert] >= count)
      throw usage_error(fmt::format("expert {} is on rank {} of {}; correct --ranks", expert,
                                    ranks[expert], count));
    on_rank[static_cast<std::size_t>(ranks[expert])].push_back(static_cast<std::int32_t>(expert));
  }
  const auto slots = std::ranges::max(on_rank, {}, &SlotRow::size).size();
  const int layers = stated_layers(stated, kRankMap);
  require_slots(layers, count * static_cast<std::int64_t>(slots));
  PlacementFile result;
  result.placement =
      empty_placement(layers, count, static_cast<int>(ranks.size()), static_cast<int>(slots));
  auto& placement = result.placement;
  placement.strategy = kRankMap;
  for (int layer = 0; layer < placement.layers; ++layer)
    for (int rank = 0; rank < count; ++rank)
      std::ranges::copy(on_rank[static_cast<std::size_t>(rank)],
                        placement.on_rank(layer, rank).begin());
  validate(placement);
  return result;
}

std::string write_rank_map(const PlacementFile& file) {
  require_full(file.placement, kRankMap, false);
  require_once(file.placement, kRankMap);
  const auto& placement = file.placement;
  if (redundant_slots(placement) > 0)
    throw usage_error(
        fmt::format("{} knows no replicas and this placement has {} a layer; plan without "
                    "--replicas, or choose "
                    "another format",
                    kRankMap, redundant_slots(placement)));
  const auto all = locations(placement);
  const auto experts = static_cast<std::size_t>(placement.experts);
  std::vector<std::int32_t> ranks;
  for (std::size_t cell = 0; cell < all.size(); ++cell) {
    if (cell < experts) ranks.push_back(all[cell].rank);
    if (all[cell].rank != ranks[cell % experts])
      throw usage_error(fmt::format(
          "{} has one map for all layers, and expert {} is on rank {} in layer 0 and on rank {} in "
          "layer {}; choose another format",
          kRankMap, cell % experts, ranks[cell % experts], all[cell].rank, cell / experts));
  }
  return fmt::format("{{\"{}\": [{}]}}", kExpertRank, row_text(ranks));
}

std::string use_rank_map(const PlacementFile& /*file*/, const std::string& path) {
  return fmt::format("the expert map {} of vLLM's issue 34297; no release of vLLM reads it", path);
}

constexpr const char* kNotByMoeIndex = "ranks; which layers are dense; where it comes from";

}  // namespace

const PlacementFormat kVllmMapFormat = {
    .name = kMap,
    .what = "vLLM, initial_expert_map_path",
    .loses = kNotByMoeIndex,
    .recognise = is_map,
    .read = read_map,
    .write = write_map,
    .usage = use_map,
    .experimental = "vLLM's pull request 49572",
    .loaded_by = "no release of vLLM: needs pull request 49572 of vLLM, not merged"};
const PlacementFormat kVllmJsonlFormat = {
    .name = kJsonl,
    .what = "vLLM, initial_mapping_path",
    .loses = kNotByMoeIndex,
    .recognise = is_jsonl,
    .read = read_jsonl,
    .write = write_jsonl,
    .usage = use_jsonl,
    .experimental = "vLLM's pull request 41141",
    .loaded_by = "no release of vLLM: needs pull request 41141 of vLLM, not merged"};
const PlacementFormat kVllmRankMapFormat = {
    .name = kRankMap,
    .what = "vLLM, expert_to_ep_rank: one map for all layers, no replicas",
    .loses = "layers; order of a rank's slots; which layers are dense; where it comes from",
    .recognise = is_rank_map,
    .read = read_rank_map,
    .write = write_rank_map,
    .usage = use_rank_map,
    .experimental = "vLLM's issue 34297",
    .loaded_by = "no release of vLLM: proposed in issue 34297 of vLLM"};

}  // namespace gembench::inline exchange
