#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gembench::inline model {

enum class DType { f32, bf16 };
[[nodiscard]] std::string_view name_of(DType dtype);
[[nodiscard]] std::size_t size_of(DType dtype);

/// Shape of a model's MoE layers. Attention and dense layers are not run.
struct ModelShape {
  std::string name;
  int layers = 0;  ///< MoE layers
  int experts = 0;
  int topk = 0;
  int shared = 0;  ///< shared experts, computed for every token on its own rank
  int hidden = 0;
  int ffn = 0;       ///< inner width of one expert (shared experts: the same)
  std::string note;  ///< what our router simplifies; empty when nothing
  int dense = 0;     ///< layers before them that have no experts and are not run
};

/// The shapes that `gembench list` prints; see moe_layer/README.md for their sources.
[[nodiscard]] std::span<const ModelShape> model_presets();

/// Looks a name up; usage error that lists the known names.
[[nodiscard]] const ModelShape& find_model(std::string_view name);

/// Divides hidden and ffn by `factor` and rounds them up to multiples of 16, so that a CPU can run
/// the shape. Experts, top-k and layers stay. Usage error unless factor >= 1.
[[nodiscard]] ModelShape scaled(const ModelShape& model, double factor);

/// Rejects (usage error) sizes below 1, top-k > experts, or more than 65,535 experts.
void validate(const ModelShape& model);

}  // namespace gembench::inline model
