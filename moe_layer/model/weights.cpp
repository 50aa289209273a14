#include "moe_layer/model/weights.hpp"

#include <cmath>

#include "moe_layer/model/uniform.hpp"

namespace gembench::inline model {
namespace {

// Streams of different kinds never share a key.
enum class Kind : std::uint64_t { gate = 1, up, down, router, input };

std::uint64_t key_of(std::uint64_t seed, Kind kind, int a, int b) {
  return fold(
      fold(fold(mix64(seed), static_cast<std::uint64_t>(kind)), static_cast<std::uint64_t>(a)),
      static_cast<std::uint64_t>(b));
}

void fill_uniform(std::span<float> out, std::uint64_t key, float width) {
  const float step = width * 0x1.0p-23F;
  const std::size_t pairs = out.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) {
    const UniformPair pair = uniform_pair(key, i, step);
    out[2 * i] = pair.first;
    out[2 * i + 1] = pair.second;
  }
  if (out.size() % 2 == 1) out.back() = uniform_pair(key, pairs, step).first;
}

float unit_variance_width(int fan_in) {
  return std::sqrt(3.0F / static_cast<float>(fan_in));
}

void round_to_bf16(std::span<float> values) {
  for (float& value : values) value = from_bf16(to_bf16(value));
}

}  // namespace

void fill_expert(PlainExpert& out, std::uint64_t seed, int layer, int expert,
                 const ModelShape& model, DType dtype) {
  const std::size_t size =
      static_cast<std::size_t>(model.hidden) * static_cast<std::size_t>(model.ffn);
  const auto fill = [&](std::vector<float>& values, Kind kind, int fan_in) {
    values.resize(size);
    fill_uniform(values, key_of(seed, kind, layer, expert), unit_variance_width(fan_in));
    if (dtype == DType::bf16) round_to_bf16(values);
  };
  fill(out.gate, Kind::gate, model.hidden);
  fill(out.up, Kind::up, model.hidden);
  fill(out.down, Kind::down, model.ffn);
}

void fill_gate(std::span<float> out, std::uint64_t seed, int layer, const ModelShape& model) {
  fill_uniform(out, key_of(seed, Kind::router, layer, 0), unit_variance_width(model.hidden));
}

InputStream input_stream(std::uint64_t seed, int step) {
  const std::uint64_t kind = fold(mix64(seed), static_cast<std::uint64_t>(Kind::input));
  return {fold(kind, static_cast<std::uint64_t>(step)), unit_variance_width(1) * 0x1.0p-23F};
}

void fill_input(std::span<float> out, std::uint64_t seed, int step, int first_token, int hidden) {
  const auto width = static_cast<std::size_t>(hidden);
  for (std::size_t row = 0; row < out.size() / width; ++row) {
    fill_uniform(out.subspan(row * width, width),
                 key_of(seed, Kind::input, step, first_token + static_cast<int>(row)),
                 unit_variance_width(1));
  }
}

}  // namespace gembench::inline model
