#pragma once

#include <memory>

#include "moe_layer/device/device.hpp"

namespace gembench::inline cpu {

/// The CPU: oneDNN on one thread. `dtype` bf16 needs AVX-512 BF16: environment error otherwise.
[[nodiscard]] std::unique_ptr<Device> make_cpu_device(const Comm& comm, const ModelShape& model,
                                                      DType dtype);
/// bf16 if this CPU supports it, else f32.
[[nodiscard]] DType best_cpu_dtype();

}  // namespace gembench::inline cpu
