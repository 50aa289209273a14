#pragma once

#include <string_view>

#include "moe_layer/model/shape.hpp"

namespace gembench::inline run {

/// The shape that --model names: a preset, or a config.json of huggingface.co or the folder that
/// holds it, if the name ends in .json or has a slash. Such a model is called after the folder, but
/// "model" if that is the home folder or called like the user. Usage error for unknown names and
/// for files that state no MoE model.
[[nodiscard]] ModelShape model_named(std::string_view name);

}  // namespace gembench::inline run
