#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace gembench::inline report {

inline constexpr double kUs = 1e6;  ///< microseconds of a second

// Numbers that may not be known, NaN or nothing, in every format that is printed.

/// null where it is not known: JSON has no NaN.
[[nodiscard]] nlohmann::ordered_json json_number(std::optional<double> value);
/// Six digits; empty where it is not known.
[[nodiscard]] std::string csv_number(std::optional<double> value);
/// `-` for what is not known, never 0.
[[nodiscard]] std::string shown(double value, int digits, double factor = 1);
/// "-4.80 %" for -0.048; "-" where it is not known.
[[nodiscard]] std::string percent_change(double share);

}  // namespace gembench::inline report
