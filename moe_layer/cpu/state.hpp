#pragma once

#include <filesystem>
#include <string>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline cpu {

/// What Linux says of a CPU. `root` is where /proc and /sys are. Power is that of the package, over
/// kPowerSeconds, during which this waits; it needs the right to read RAPL's counters, which is
/// root's. What is not readable (in containers and virtual machines most of it) is NaN.
[[nodiscard]] DeviceState cpu_state(int cpu, const std::filesystem::path& root = "/");
inline constexpr double kPowerSeconds = 0.02;

/// "AMD EPYC 7B13 64-Core Processor"; empty where /proc/cpuinfo does not tell.
[[nodiscard]] std::string cpu_model(const std::filesystem::path& root = "/");

/// The CPU this thread runs on now.
[[nodiscard]] int current_cpu();

}  // namespace gembench::inline cpu
