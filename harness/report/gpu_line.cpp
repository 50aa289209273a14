#include "harness/report/gpu_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace gembench::inline report {
namespace {

/// Bits of NVML's nvmlClocksEventReasons that slow a busy GPU down; 1, idle, and 2, clocks that
/// were set by a user, are none of them.
struct Reason {
  std::int64_t bits = 0;
  const char* name = nullptr;
  std::int64_t unless = 0;  ///< bits that say it better
};
constexpr Reason kReasons[] = {{0x4, "power cap"},
                               {0x20 | 0x40, "temperature"},
                               {0x80, "power brake"},
                               {0x8, "hardware slowdown", 0x40 | 0x80},
                               {0x10, "sync boost"}};

/// NaN if no rank reported it.
double least(const std::vector<GpuUse>& uses, double GpuUse::*member) {
  double found = NAN;
  for (const GpuUse& use : uses) found = std::fmin(found, use.*member);
  return found;
}
double most(const std::vector<GpuUse>& uses, double GpuUse::*member) {
  double found = NAN;
  for (const GpuUse& use : uses) found = std::fmax(found, use.*member);
  return found;
}
double mean(const std::vector<GpuUse>& uses, double GpuUse::*member) {
  double sum = 0;
  int count = 0;
  for (const GpuUse& use : uses) {
    if (std::isnan(use.*member)) continue;
    sum += use.*member;
    ++count;
  }
  return sum / count;
}

}  // namespace

std::vector<std::string> slow_reasons(std::int64_t bits) {
  std::vector<std::string> names;
  for (const Reason& reason : kReasons) {
    const bool told = (bits & reason.bits) != 0 && (bits & reason.unless) == 0;
    if (bits >= 0 && told) names.emplace_back(reason.name);
  }
  return names;
}

std::string gpu_line(const std::vector<GpuUse>& uses) {
  constexpr double kMega = 1e6;
  std::vector<std::string> parts;
  if (const double low = least(uses, &GpuUse::clock_min); !std::isnan(low)) {
    parts.push_back(fmt::format("clock {:.0f} to {:.0f} MHz", low / kMega,
                                most(uses, &GpuUse::clock_max) / kMega));
  }
  if (const double power = mean(uses, &GpuUse::power_mean); !std::isnan(power)) {
    parts.push_back(fmt::format("power {:.0f} W on average, {:.0f} at most", power,
                                most(uses, &GpuUse::power_max)));
  }
  if (const double hot = most(uses, &GpuUse::temperature_max); !std::isnan(hot)) {
    parts.push_back(
        fmt::format("{:.0f} to {:.0f} degC", least(uses, &GpuUse::temperature_min), hot));
  }
  if (parts.empty()) return {};
  std::vector<std::string> ranks;
  std::vector<std::string> names;
  for (std::size_t rank = 0; rank < uses.size(); ++rank) {
    const std::int64_t reasons = std::max<std::int64_t>(uses[rank].throttle_reasons, 0);
    const std::vector<std::string> slow = slow_reasons(reasons);
    if (!slow.empty()) ranks.push_back(fmt::format("{}", rank));
    std::ranges::copy_if(slow, std::back_inserter(names), [&](const std::string& name) {
      return std::ranges::find(names, name) == names.end();
    });
  }
  std::string held;
  if (!ranks.empty()) {
    held = fmt::format("; clocks were held down on rank{} {} ({})", ranks.size() == 1 ? "" : "s",
                       fmt::join(ranks, ", "), fmt::join(names, ", "));
  }
  return fmt::format("GPUs while measuring: {}{}", fmt::join(parts, ", "), held);
}

}  // namespace gembench::inline report
