// SGLang's --init-expert-location: {"physical_to_logical_map": [[slots] for every hidden layer]}.
// The object is splatted into a function call, so that any other member is a TypeError, and layers
// are looked up by their index in the whole model, so that dense layers need rows as well; theirs
// are never read. The loader also takes a .pt of torch.save that holds the same.
// https://github.com/sgl-project/sglang, python/sglang/srt/eplb/expert_location.py

#include <fmt/format.h>

#include <numeric>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_arrays.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kName = "sglang";
constexpr const char* kTorch = "the torch file";
constexpr const char* kMap = "physical_to_logical_map";

/// Archives of torch.save are not compressed, so that texts stand in them as pickles hold them.
bool recognise(std::string_view content) {
  if (!is_torch(content)) return mentions(content, kMap);
  const auto size = static_cast<char>(std::string_view(kMap).size());
  return content.find(fmt::format("X{}{}{}", size, std::string(3, '\0'), kMap)) !=
         std::string_view::npos;
}

std::vector<SlotRow> rows_of(std::string_view content) {
  std::vector<SlotRow> rows;
  if (is_torch(content)) {
    TorchFile file(content, kTorch);
    return torch_rows(file, file.pickle().find(file.root(), kMap), kMap);
  }
  const Json json = parse_bounded_json(content);
  only_fields(json, {kMap});
  for (const auto& row : any_array(field(json, kMap), kMap))
    rows.push_back(whole_list(row, fmt::format("{}[{}]", kMap, rows.size())));
  return rows;
}

PlacementFile read(std::string_view content, const StatedShape& stated) {
  const auto rows = rows_of(content);
  auto result = placement_of_rows(rows, stated, kName);
  // One row per layer of the model; the file does not say which of them are dense.
  result.layer_ids.resize(rows.size());
  std::iota(result.layer_ids.begin(), result.layer_ids.end(), 0);
  result.model_layers = result.placement.layers;
  return result;
}

std::string write(const PlacementFile& file) {
  require_full(file.placement, kName);
  const auto& placement = file.placement;
  SlotRow dense(slots_of_layer(placement, 0).size());
  for (std::size_t slot = 0; slot < dense.size(); ++slot)
    dense[slot] = static_cast<std::int32_t>(slot) % placement.experts;
  const int last = file.layer_id(placement.layers - 1);
  const int model_layers = file.model_layers > 0 ? file.model_layers : last + 1;
  require_slots(model_layers, static_cast<std::int64_t>(dense.size()));
  std::string text = fmt::format("{{\"{}\": [", kMap);
  for (int id = 0, layer = 0; id < model_layers; ++id) {
    const bool moe = layer < placement.layers && file.layer_id(layer) == id;
    text += fmt::format("{}[{}]", id == 0 ? "" : ", ",
                        row_text(moe ? slots_of_layer(placement, layer) : dense));
    layer += moe;
  }
  return text + "]}";
}

std::string usage(const PlacementFile& file, const std::string& path) {
  return fmt::format("--init-expert-location {} --ep-num-redundant-experts {} --ep-size {}", path,
                     redundant_slots(file.placement), file.placement.ranks);
}

}  // namespace

const PlacementFormat kSglangFormat = {kName,
                                       "SGLang, --init-expert-location",
                                       "ranks; which layers are dense; where it comes from",
                                       recognise,
                                       read,
                                       write,
                                       usage,
                                       {},
                                       "SGLang (the loaders of 0.5.5 and 0.5.23 were tried)"};

}  // namespace gembench::inline exchange
