#pragma once

#include <cstddef>

#include "moe_layer/device/buffer.hpp"
#include "moe_layer/model/shape.hpp"

namespace gembench::inline cpu {

/// f32 values in the payload's type.
void to_payload(DType dtype, const float* from, char* to, std::size_t n);
/// Adds returned rows of `hidden` values in the payload's type onto the rows of `sums` that `onto`
/// (i32 [row]) names.
void add_rows(DType dtype, std::size_t hidden, int rows, const Buffer& returned, const Buffer& onto,
              float* sums);

}  // namespace gembench::inline cpu
