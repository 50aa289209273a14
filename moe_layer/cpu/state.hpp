#pragma once

#include <filesystem>
#include <string>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline cpu {

/// A CPU's state as reported by Linux. `root` is the folder of /proc and /sys. Power is that of the
/// package, averaged over kPowerSeconds, during which this waits; reading RAPL's counters needs
/// root. Values that are not readable (most of them in containers and virtual machines) are NaN.
[[nodiscard]] DeviceState cpu_state(int cpu, const std::filesystem::path& root = "/");
inline constexpr double kPowerSeconds = 0.02;

/// "AMD EPYC 7B13 64-Core Processor"; empty if /proc/cpuinfo does not say.
[[nodiscard]] std::string cpu_model(const std::filesystem::path& root = "/");

/// The CPU this thread runs on now.
[[nodiscard]] int current_cpu();

}  // namespace gembench::inline cpu
