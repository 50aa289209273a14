#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gembench::inline exchange {

/// The MoE layers of a model, as its config.json on huggingface.co states them.
struct ModelConfig {
  std::string type;                      ///< "model_type"
  std::vector<std::int32_t> moe_layers;  ///< indices of the layers with experts, ascending
  int model_layers = 0;                  ///< dense ones included
  int experts = 0;                       ///< routed ones of a layer
  int topk = 0;
  int shared = 0;  ///< shared experts of the width of a routed one; a wider one counts as several
  int hidden = 0;
  int ffn = 0;  ///< inner width of a routed expert
};

/// Reads the text of a config.json. Models name the same things differently, and some nest the
/// language model in text_config; the table of names is in model_config.cpp. Usage error for what
/// is no MoE model, lacks a number, or has layers with different numbers.
[[nodiscard]] ModelConfig read_model_config(std::string_view text);

/// A config.json, or the one in a folder. Usage errors name the file.
[[nodiscard]] ModelConfig read_model_file(const std::filesystem::path& path);

}  // namespace gembench::inline exchange
