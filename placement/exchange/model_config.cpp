#include "placement/exchange/model_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <span>

#include "placement/base/error.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/files/input_file.hpp"

namespace gembench::inline exchange {
namespace {

constexpr std::int64_t kMostLayers = 4096, kMostWidth = 1 << 20, kMostExperts = 65535;
constexpr std::uintmax_t kMostBytes = 4U << 20;

// What models call it, the usual name first. From the configurations of the models that presets
// name, and of Hunyuan, ERNIE-4.5, Nemotron-H and Llama-4.
constexpr std::string_view kExperts[] = {"n_routed_experts", "num_experts", "num_local_experts",
                                         "moe_num_experts", "num_routed_experts"};
constexpr std::string_view kTopk[] = {
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "experts_per_token",
    "moe_top_k",           "top_k_experts"};
constexpr std::string_view kFfn[] = {"moe_intermediate_size", "moe_ffn_hidden_size",
                                     "intermediate_size"};
constexpr std::string_view kShared[] = {"n_shared_experts", "num_shared_experts",
                                        "num_shared_expert", "moe_num_shared_experts"};
constexpr std::string_view kSharedWidth[] = {"moe_shared_expert_intermediate_size",
                                             "shared_expert_intermediate_size",
                                             "shared_intermediate_size"};
constexpr std::string_view kFirstMoe[] = {"first_k_dense_replace", "moe_layer_start_index",
                                          "num_dense_layers"};
// Widths that routed experts and their tokens have, where it is not the model's.
constexpr std::string_view kHidden[] = {"moe_latent_size", "hidden_size"};
constexpr std::string_view kNested[] = {"text_config", "llm_config", "language_config",
                                        "thinker_config"};
// What says of every layer what it is: a letter, word or number each.
constexpr std::string_view kByLayer[] = {"hybrid_override_pattern", "layers_block_type",
                                         "mlp_layer_types", "is_moe_layer", "moe_layer_freq"};
// A layer has experts where its number from 1 is divisible.
constexpr std::string_view kSteps[] = {"moe_layer_interval", "decoder_sparse_step",
                                       "interleave_moe_layer_step", "moe_layer_frequency"};

/// The first of these members that is there and not null.
const Json* first_of(const Json& config, std::span<const std::string_view> names,
                     std::string_view* found = nullptr) {
  for (const std::string_view name : names) {
    const auto member = config.find(std::string(name));
    if (member == config.end() || member->is_null()) continue;
    if (found != nullptr) *found = name;
    return &*member;
  }
  return nullptr;
}

/// A number, or a list of equal ones with one for each layer.
std::optional<std::int64_t> number(const Json& config, std::span<const std::string_view> names,
                                   std::int64_t least, std::int64_t most) {
  std::string_view name;
  const Json* value = first_of(config, names, &name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) return whole_between(*value, least, most, name);
  if (value->empty()) return std::nullopt;
  const std::int64_t one = whole_between(value->front(), least, most, name);
  for (const Json& other : *value) {
    if (whole_between(other, least, most, name) != one) {
      throw usage_error(
          fmt::format("its layers differ in {}: give the numbers of one as options", name));
    }
  }
  return one;
}

std::int64_t required(const Json& config, std::span<const std::string_view> names,
                      std::int64_t least, std::int64_t most) {
  if (const auto found = number(config, names, least, most)) return *found;
  throw usage_error(fmt::format("it has none of {}", fmt::join(names, ", ")));
}

std::int64_t one_of(const Json& config, std::string_view name, std::int64_t otherwise) {
  return number(config, {&name, 1}, 0, kMostLayers).value_or(otherwise);
}

bool lists(const Json* list, std::int64_t layer) {
  return list != nullptr && list->is_array() && std::ranges::any_of(*list, [&](const Json& one) {
           return one.is_number_integer() && one == layer;
         });
}

/// Of a letter, word, truth value or number for each layer.
bool marks_experts(const Json& by_layer, std::size_t layer) {
  if (by_layer.is_string()) {
    const auto& letters = by_layer.get_ref<const std::string&>();
    return layer < letters.size() && letters[layer] == 'E';
  }
  if (layer >= by_layer.size()) return false;
  const Json& mark = by_layer[layer];
  return mark == 1 || mark == true || mark == "moe" || mark == "sparse";
}

/// Whether a layer has experts: as a list or pattern says it of each layer, or where all rules that
/// the file has hold.
bool has_experts(const Json& config, std::int64_t layer) {
  constexpr std::string_view kListed = "moe_layers", kDense = "mlp_only_layers";
  for (const std::string_view& name : kByLayer) {
    const Json* said = first_of(config, {&name, 1});
    if (said == nullptr || !(said->is_string() || said->is_array())) continue;
    if (name == "layers_block_type" && std::ranges::find(*said, Json("moe")) == said->end())
      continue;  // it names the mixers alone
    return marks_experts(*said, static_cast<std::size_t>(layer));
  }
  if (const Json* listed = first_of(config, {&kListed, 1}); listed && listed->is_array()) {
    return lists(listed, layer);
  }
  if (lists(first_of(config, {&kDense, 1}), layer)) return false;
  const std::int64_t first = number(config, kFirstMoe, 0, kMostLayers).value_or(0);
  constexpr std::string_view kLast = "moe_layer_end_index";  // -1: the last one
  const std::int64_t stated = number(config, {&kLast, 1}, -1, kMostLayers).value_or(-1);
  const std::int64_t last = stated < 0 ? kMostLayers : stated;
  const std::int64_t period = one_of(config, "expert_layer_period", 1);
  const std::int64_t offset = one_of(config, "expert_layer_offset", 0);
  const auto divides = [](std::int64_t step, std::int64_t at) {
    return step < 2 || at % step == 0;
  };
  return layer >= first && layer <= last && divides(one_of(config, "moe_layer_freq", 1), layer) &&
         std::ranges::all_of(
             kSteps,
             [&](std::string_view step) { return divides(one_of(config, step, 1), layer + 1); }) &&
         (period < 2 || layer % period == offset);
}

int shared_experts(const Json& config, const std::string& type, int ffn) {
  constexpr int kMost = 64;
  const auto count = number(config, kShared, 0, kMost);
  if (const auto width = number(config, kSharedWidth, 0, kMostWidth)) {
    const std::int64_t all = *width * std::max<std::int64_t>(count.value_or(1), 1);
    return static_cast<int>(std::min<std::int64_t>(kMost, (all + ffn - 1) / ffn));
  }
  if (count) return static_cast<int>(*count);
  return type.starts_with("llama4") ? 1 : 0;  // not stated in its file
}

}  // namespace

ModelConfig read_model_config(std::string_view text) {
  const Json whole = parse_bounded_json(text, 1 << 18);
  if (!whole.is_object()) throw usage_error("it is no config.json of a model");
  const Json* outer = &whole;  // of an omni model twice: thinker_config, and text_config in it
  for (const Json* inner = outer; inner != nullptr && inner->is_object();
       inner = first_of(*outer, kNested))
    outer = inner;
  const Json& config = *outer;
  if (first_of(config, kExperts) == nullptr) {
    throw usage_error(fmt::format("it is no config.json of a MoE model: it has none of {}",
                                  fmt::join(kExperts, ", ")));
  }
  constexpr std::string_view kLayers = "num_hidden_layers", kType = "model_type";
  ModelConfig model;
  if (const Json* type = first_of(config, {&kType, 1}); type && type->is_string()) {
    model.type = shown(type->get_ref<const std::string&>());
  }
  model.experts = static_cast<int>(required(config, kExperts, 1, kMostExperts));
  model.topk = static_cast<int>(required(config, kTopk, 1, model.experts));
  model.hidden = static_cast<int>(required(config, kHidden, 1, kMostWidth));
  model.ffn = static_cast<int>(required(config, kFfn, 1, kMostWidth));
  model.model_layers = static_cast<int>(required(config, {&kLayers, 1}, 1, kMostLayers));
  model.shared = shared_experts(config, model.type, model.ffn);
  for (std::int32_t layer = 0; layer < model.model_layers; ++layer) {
    if (has_experts(config, layer)) model.moe_layers.push_back(layer);
  }
  if (model.moe_layers.empty()) throw usage_error("none of its layers has experts");
  return model;
}

ModelConfig read_model_file(const std::filesystem::path& path) {
  std::error_code unknown;
  const auto file = std::filesystem::is_directory(path, unknown) ? path / "config.json" : path;
  const std::string text = read_input_file(file, kMostBytes);
  try {
    return read_model_config(text);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", file.string(), error.what()));
  }
}

}  // namespace gembench::inline exchange
