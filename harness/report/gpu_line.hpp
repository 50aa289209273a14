#pragma once

#include <string>
#include <vector>

#include "results/run_file.hpp"

namespace gembench::inline report {

/// Clocks, power and temperature of all GPUs while steps were measured, and whether clocks were
/// held down, in one line without its end; empty if none reported anything. `uses`: [rank].
[[nodiscard]] std::string gpu_line(const std::vector<GpuUse>& uses);

}  // namespace gembench::inline report
