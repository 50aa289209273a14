#include "harness/cli/device_kinds.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/device/cuda_plugin.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cli {
namespace {

constexpr DeviceKind kKinds[] = {
    {"cpu", false, true, best_cpu_dtype, [] { return true; }, ""},
    {"cuda", true, false, [] { return DType::bf16; }, has_cuda_plugin, "where there is a driver"},
};

}  // namespace

std::span<const DeviceKind> device_kinds() {
  return kKinds;
}

const DeviceKind& device_kind(std::string_view name) {
  const auto* const found = std::ranges::find(kKinds, name, &DeviceKind::name);
  if (found != std::end(kKinds)) return *found;
  throw usage_error(
      fmt::format("--device {} is unknown: use one of {}", name, fmt::join(device_names(), ", ")));
}

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const DeviceKind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

std::string installed_devices() {
  std::vector<std::string> names;
  for (const DeviceKind& kind : kKinds) {
    if (!kind.installed()) continue;
    const std::string_view remark = kind.remark;
    names.push_back(remark.empty() ? kind.name : fmt::format("{} ({})", kind.name, remark));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace gembench::inline cli
