#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/model/shape.hpp"

namespace gembench::inline cli {

/// The devices that --device can name, and what each supports. run/devices.cpp creates them.
struct DeviceKind {
  const char* name;
  bool gpu;               ///< every rank has its own device: --transport, --lock-clocks, GPU states
  bool shows_cpu_time;    ///< whether its work takes the rank's CPU time, as --clock cpu-time reads
  DType (*best_dtype)();  ///< of --dtype auto
  bool (*installed)();
  const char* remark;  ///< further requirements, for --version; empty: none
};

[[nodiscard]] std::span<const DeviceKind> device_kinds();
/// Usage error, naming all kinds, for an unknown one.
[[nodiscard]] const DeviceKind& device_kind(std::string_view name);
[[nodiscard]] std::vector<std::string> device_names();
/// "cpu, cuda (where there is a driver)": the installed devices.
[[nodiscard]] std::string installed_devices();

}  // namespace gembench::inline cli
