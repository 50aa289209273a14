#include "moe_layer/cpu/row_math.hpp"

#include "moe_layer/model/weights.hpp"

#define GEMBENCH_FOR_EVERY_CPU [[gnu::target_clones("avx512f", "avx2", "default")]]

namespace gembench::inline cpu {

GEMBENCH_FOR_EVERY_CPU
void add_scaled(float* __restrict y, const float* __restrict x, float weight, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += weight * x[i];
}

GEMBENCH_FOR_EVERY_CPU
void scale(float* __restrict y, const float* __restrict x, float weight, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = weight * x[i];
}

GEMBENCH_FOR_EVERY_CPU
void scale(std::uint16_t* __restrict y, const float* __restrict x, float weight, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = to_bf16(weight * x[i]);
}

GEMBENCH_FOR_EVERY_CPU
void sum_scaled(float* __restrict y, const float* __restrict sum, const float* __restrict x,
                float weight, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = sum[i] + weight * x[i];
}

GEMBENCH_FOR_EVERY_CPU
void sum_scaled(std::uint16_t* __restrict y, const float* __restrict sum, const float* __restrict x,
                float weight, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = to_bf16(sum[i] + weight * x[i]);
}

GEMBENCH_FOR_EVERY_CPU
void add_bf16(float* __restrict y, const std::uint16_t* __restrict x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += from_bf16(x[i]);
}

GEMBENCH_FOR_EVERY_CPU
void round_to_bf16(const float* __restrict from, std::uint16_t* __restrict to, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

}  // namespace gembench::inline cpu
