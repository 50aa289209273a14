#include "harness/report/numbers.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace gembench::inline report {

nlohmann::ordered_json json_number(std::optional<double> value) {
  return value && std::isfinite(*value) ? nlohmann::ordered_json(*value) : nullptr;
}

std::string csv_number(std::optional<double> value) {
  return value && std::isfinite(*value) ? fmt::format("{:.6g}", *value) : std::string();
}

std::string shown(double value, int digits, double factor) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value * factor, digits) : "-";
}

std::string percent_change(double share) {
  return std::isfinite(share) ? fmt::format("{:+.2f} %", share * 100) : "-";
}

}  // namespace gembench::inline report
