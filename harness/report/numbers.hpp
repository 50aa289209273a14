#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace gembench::inline report {

inline constexpr double kUs = 1e6;  ///< microseconds of a second

// Formatting of numbers that may be unknown (NaN or nothing), for all output formats.

/// null if unknown: JSON has no NaN.
[[nodiscard]] nlohmann::ordered_json json_number(std::optional<double> value);
/// Six digits; empty if unknown.
[[nodiscard]] std::string csv_number(std::optional<double> value);
/// `-` if unknown, never 0.
[[nodiscard]] std::string shown(double value, int digits, double factor = 1);
/// "-4.80 %" for -0.048; "-" if unknown.
[[nodiscard]] std::string percent_change(double share);

}  // namespace gembench::inline report
