#include "moe_layer/model/shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"

namespace gembench::inline model {
namespace {

constexpr const char* kSigmoid =
    "its router scores by a sigmoid with expert groups; run here as softmax + top-k";
constexpr const char* kMaverick =
    "its router scores by a sigmoid; run here as softmax + top-k; every second of its 48 layers "
    "has "
    "experts";
constexpr const char* kNemotron =
    "its experts are two matrices with a squared ReLU; run here as three with SwiGLU; 23 of its 52 "
    "layers have experts";
constexpr const char* kScout = "its router scores by a sigmoid; run here as softmax + top-k";

const std::array<ModelShape, 21> kPresets = {{
    {"mixtral-8x7b", 32, 8, 2, 0, 4096, 14336, ""},
    {"mixtral-8x22b", 56, 8, 2, 0, 6144, 16384, ""},
    {"llama-4-scout", 48, 16, 1, 1, 5120, 8192, kScout},
    {"hunyuan-a13b", 32, 64, 8, 1, 4096, 3072, ""},
    {"qwen3-30b-a3b", 48, 128, 8, 0, 2048, 768, ""},
    {"qwen3-235b-a22b", 94, 128, 8, 0, 4096, 1536, ""},
    {"deepseek-v3", 58, 256, 8, 1, 7168, 2048, kSigmoid, 3},
    {"gpt-oss-20b", 24, 32, 4, 0, 2880, 2880, ""},
    {"gpt-oss-120b", 36, 128, 4, 0, 2880, 2880, ""},
    {"olmoe-1b-7b", 16, 64, 8, 0, 2048, 1024, ""},
    {"kimi-k2", 60, 384, 8, 1, 7168, 2048, kSigmoid, 1},
    {"deepseek-v3.2", 58, 256, 8, 1, 7168, 2048, kSigmoid, 3},
    {"glm-4.5", 89, 160, 8, 1, 5120, 1536, kSigmoid, 3},
    {"glm-4.6", 89, 160, 8, 1, 5120, 1536, kSigmoid, 3},
    {"glm-4.5-air", 45, 128, 8, 1, 4096, 1408, kSigmoid, 1},
    {"qwen3-next-80b-a3b", 48, 512, 10, 1, 2048, 512, ""},
    {"qwen3.5-397b-a17b", 60, 512, 10, 1, 4096, 1024, ""},
    {"minimax-m2", 62, 256, 8, 0, 3072, 1536, kSigmoid},
    {"ernie-4.5-300b-a47b", 51, 64, 8, 0, 8192, 3584, "", 3},
    {"llama-4-maverick", 24, 128, 1, 1, 5120, 8192, kMaverick},
    {"nemotron-3-nano-30b", 23, 128, 6, 2, 2688, 1856, kNemotron},
}};

int scaled_width(int width, double factor) {
  const int divided = static_cast<int>(std::lround(width / factor));
  return std::max(16, (divided + 15) / 16 * 16);
}

}  // namespace

std::string_view name_of(DType dtype) {
  return dtype == DType::f32 ? "f32" : "bf16";
}
std::size_t size_of(DType dtype) {
  return dtype == DType::f32 ? 4 : 2;
}

std::span<const ModelShape> model_presets() {
  return kPresets;
}

const ModelShape& find_model(std::string_view name) {
  for (const auto& model : kPresets) {
    if (model.name == name) return model;
  }
  const auto names = names_of_rows(kPresets);
  throw usage_error(fmt::format("unknown model '{}'{}: choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
}

ModelShape scaled(const ModelShape& model, double factor) {
  if (!(factor >= 1) || !std::isfinite(factor)) {
    throw usage_error(fmt::format("--scale {} is not a number of at least 1", factor));
  }
  ModelShape result = model;
  if (factor == 1) return result;
  result.hidden = scaled_width(model.hidden, factor);
  result.ffn = scaled_width(model.ffn, factor);
  result.name = fmt::format("{}/{:g}", model.name, factor);
  return result;
}

void validate(const ModelShape& model) {
  const auto need = [&](bool good, const char* what, int value) {
    if (!good) throw usage_error(fmt::format("{} {} does not fit {}", what, value, model.name));
  };
  constexpr int kMax = 1 << 20;
  need(model.layers >= 1 && model.layers <= 65536, "--layers", model.layers);
  need(model.experts >= 1 && model.experts <= 65535, "--experts", model.experts);
  need(model.hidden >= 1 && model.hidden <= kMax, "--hidden", model.hidden);
  need(model.ffn >= 1 && model.ffn <= kMax, "--ffn", model.ffn);
  need(model.shared >= 0 && model.shared <= 64, "shared experts", model.shared);
  if (model.topk < 1 || model.topk > model.experts) {
    throw usage_error(fmt::format("--topk {} must lie between 1 and the {} experts of {}",
                                  model.topk, model.experts, model.name));
  }
}

}  // namespace gembench::inline model
