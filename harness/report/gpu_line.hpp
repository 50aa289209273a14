#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "results/run_file.hpp"

namespace gembench::inline report {

/// Clocks, power and temperature of all GPUs while steps were measured, and whether clocks were
/// held down, in one line without its end; empty if none reported anything. `uses`: [rank].
[[nodiscard]] std::string gpu_line(const std::vector<GpuUse>& uses);

/// What slows a busy GPU down, of NVML's bits, in words.
[[nodiscard]] std::vector<std::string> slow_reasons(std::int64_t bits);

}  // namespace gembench::inline report
