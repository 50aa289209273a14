#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/model/shape.hpp"

/// Weights and inputs as pure functions of their coordinates, bit-identical on every device and
/// rank: counter-based integers, scaled by an exact power-of-two step and one correctly rounded
/// multiplication. Uniform with the variance of 1/fan-in, so that activations keep their size.
namespace gembench::inline model {

/// Untyped plain weights of one expert, row-major [in][out], as generated.
struct PlainExpert {
  std::vector<float> gate;  ///< [hidden][ffn]
  std::vector<float> up;    ///< [hidden][ffn]
  std::vector<float> down;  ///< [ffn][hidden]
};

/// Expert `expert` of weight layer `layer`; shared expert i is expert number experts + i. Values
/// are rounded to `dtype`.
void fill_expert(PlainExpert& out, std::uint64_t seed, int layer, int expert,
                 const ModelShape& model, DType dtype);

/// f32 [hidden][expert] of a layer's router.
void fill_gate(std::span<float> out, std::uint64_t seed, int layer, const ModelShape& model);

/// f32 [token][hidden] of a step's tokens first_token, first_token + 1, ...
void fill_input(std::span<float> out, std::uint64_t seed, int step, int first_token, int hidden);

/// What a device needs to make the same on its own: token t's row has the key fold(key, t), and its
/// values are uniform_pair()s of that key and `step`.
struct InputStream {
  std::uint64_t key = 0;
  float step = 0;
};
[[nodiscard]] InputStream input_stream(std::uint64_t seed, int step);

/// Nearest bf16 (ties to even), as bits and back.
[[nodiscard]] inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
[[nodiscard]] inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace gembench::inline model
