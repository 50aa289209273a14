#include "harness/run/model_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "placement/base/error.hpp"
#include "placement/exchange/model_config.hpp"

namespace gembench::inline run {
namespace {

/// Whether a folder is called after a person: it says who runs this, and not what.
bool is_personal(const std::filesystem::path& folder) {
  const auto is = [&](const char* variable, const std::filesystem::path& name) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0' &&
           std::filesystem::path(value).lexically_normal() == name;
  };
  return is("HOME", folder) || is("HOME", folder / "") || is("USER", folder.filename());
}

/// "/models/Kimi-K2/config.json" -> "kimi-k2", in letters that names in results consist of.
std::string name_of_file(std::filesystem::path path) {
  path = std::filesystem::absolute(path).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  const bool of_folder = path.extension() != ".json" || path.filename() == "config.json";
  if (path.extension() == ".json") {
    path = of_folder ? path.parent_path() : path.replace_extension();
  }
  if (of_folder && is_personal(path)) return "model";
  std::string name = path.filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char letter) {
    const bool plain = std::isalnum(letter) || letter == '.' || letter == '-';
    return plain ? static_cast<char>(std::tolower(letter)) : '-';
  });
  return name.empty() ? "model" : name;
}

}  // namespace

ModelShape model_named(std::string_view name) {
  if (!name.ends_with(".json") && name.find('/') == std::string_view::npos) {
    return find_model(name);
  }
  const ModelConfig config = read_model_file(name);
  ModelShape shape;
  shape.name = name_of_file(name);
  shape.layers = static_cast<int>(config.moe_layers.size());
  shape.experts = config.experts;
  shape.topk = config.topk;
  shape.shared = config.shared;
  shape.hidden = config.hidden;
  shape.ffn = config.ffn;
  if (config.moe_layers.back() - config.moe_layers.front() + 1 == shape.layers) {
    shape.dense = config.moe_layers.front();
  } else {
    shape.note = fmt::format("{} of its {} layers have experts, not in a row", shape.layers,
                             config.model_layers);
  }
  validate(shape);
  return shape;
}

}  // namespace gembench::inline run
