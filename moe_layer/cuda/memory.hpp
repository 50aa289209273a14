#pragma once

#include <cstddef>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/device/buffer.hpp"

namespace gembench::inline cuda {

/// Device memory; environment error that says what was wanted, what is left and what shrinks it.
[[nodiscard]] Buffer device_memory(std::size_t bytes, Whereabouts& at);
/// Pinned host memory, which the GPU copies to and from by itself.
[[nodiscard]] Buffer pinned_memory(std::size_t bytes, Whereabouts& at);

}  // namespace gembench::inline cuda
