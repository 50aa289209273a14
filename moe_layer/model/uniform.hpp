#pragma once

#include <cstdint>

#include "placement/base/random.hpp"

/// The values of weights and inputs, shared by the host and by kernels (nvcc calls constexpr
/// functions of the host): every hash makes two, by one correctly rounded multiplication, so they
/// have the same bits wherever they are made.
namespace gembench::inline model {

/// Of the lower 24 bits: uniform in (-width, width), `step` is width * 2^-23.
[[nodiscard]] constexpr float uniform_value(std::uint64_t bits, float step) {
  return (static_cast<float>(bits & 0xffffff) - 0x1.0p23F + 0.5F) * step;
}

/// Values 2 i and 2 i + 1 of the row with this key.
struct UniformPair {
  float first, second;
};
[[nodiscard]] constexpr UniformPair uniform_pair(std::uint64_t row_key, std::uint64_t i,
                                                 float step) {
  const std::uint64_t bits = mix64(row_key + i);
  return {uniform_value(bits, step), uniform_value(bits >> 32, step)};
}

}  // namespace gembench::inline model
