#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/model/shape.hpp"

namespace gembench::inline cli {

/// What --device can ask for, and what else may be asked of it. How one is made: run/devices.cpp.
struct DeviceKind {
  const char* name;
  bool gpu;               ///< every rank has one of its own: --transport, --lock-clocks, GPU states
  bool shows_cpu_time;    ///< whether its work takes the rank's CPU time, as --clock cpu-time reads
  DType (*best_dtype)();  ///< of --dtype auto
  bool (*installed)();
  const char* remark;  ///< what it needs besides, for --version; empty: nothing
};

[[nodiscard]] std::span<const DeviceKind> device_kinds();
/// Usage error, naming all kinds, where there is none.
[[nodiscard]] const DeviceKind& device_kind(std::string_view name);
[[nodiscard]] std::vector<std::string> device_names();
/// "cpu, cuda (where there is a driver)": those that are installed.
[[nodiscard]] std::string installed_devices();

}  // namespace gembench::inline cli
