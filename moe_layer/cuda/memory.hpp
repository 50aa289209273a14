#pragma once

#include <cstddef>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/device/buffer.hpp"

namespace gembench::inline cuda {

/// Device memory; the environment error says how much was requested, how much is free and how to
/// reduce it.
[[nodiscard]] Buffer device_memory(std::size_t bytes, Whereabouts& at);
/// Pinned host memory, which the GPU copies to and from by itself.
[[nodiscard]] Buffer pinned_memory(std::size_t bytes, Whereabouts& at);

}  // namespace gembench::inline cuda
