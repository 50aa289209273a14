#include "moe_layer/cpu/payload.hpp"

#include <cstdint>
#include <cstring>

#include "moe_layer/cpu/row_math.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {

void to_payload(DType dtype, const float* from, char* to, std::size_t n) {
  if (dtype == DType::f32) {
    std::memcpy(to, from, n * sizeof(float));
    return;
  }
  round_to_bf16(from, reinterpret_cast<std::uint16_t*>(to), n);
}

void add_rows(DType dtype, std::size_t hidden, int rows, const Buffer& returned, const Buffer& onto,
              float* sums) {
  const std::size_t row_bytes = hidden * size_of(dtype);
  const auto* target_row = onto.as<std::int32_t>();
  for (std::size_t row = 0; row < sz(rows); ++row) {
    float* target = sums + sz(target_row[row]) * hidden;
    const char* from = returned.as<char>() + row * row_bytes;
    if (dtype == DType::f32) {
      add_scaled(target, reinterpret_cast<const float*>(from), 1.0F, hidden);
    } else {
      add_bf16(target, reinterpret_cast<const std::uint16_t*>(from), hidden);
    }
  }
}

}  // namespace gembench::inline cpu
