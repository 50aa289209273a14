#pragma once

#include <cstddef>
#include <cstdint>

/// Operations of the CPU device on rows of `n` values, other than matrix products. Compiled for
/// AVX-512, AVX2 and SSE2; the best one that the CPU supports is used. All give the same bits.
namespace gembench::inline cpu {

/// y += weight * x.
void add_scaled(float* y, const float* x, float weight, std::size_t n);
/// y = weight * x, and as bf16.
void scale(float* y, const float* x, float weight, std::size_t n);
void scale(std::uint16_t* y, const float* x, float weight, std::size_t n);
/// y = sum + weight * x, and as bf16.
void sum_scaled(float* y, const float* sum, const float* x, float weight, std::size_t n);
void sum_scaled(std::uint16_t* y, const float* sum, const float* x, float weight, std::size_t n);
/// y += x, which is bf16.
void add_bf16(float* y, const std::uint16_t* x, std::size_t n);
/// Nearest bf16 of each value, ties to even.
void round_to_bf16(const float* from, std::uint16_t* to, std::size_t n);

}  // namespace gembench::inline cpu
