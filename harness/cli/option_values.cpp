#include "harness/cli/option_values.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline cli {
namespace {

constexpr std::size_t kMostInSweep = 64;

/// What may stand behind a number, by the name of the value.
struct Unit {
  std::string_view value, unit;
  double factor;
};
constexpr Unit kUnits[] = {{"S", "ms", 1e-3}, {"S", "s", 1}, {"S", "m", 60},      {"S", "min", 60},
                           {"S", "h", 3600},  {"P", "%", 1}, {"SHARE", "%", 0.01}};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string_view::npos ? std::string()
                                         : std::string(text.substr(first, last - first + 1));
}

}  // namespace

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",") {
    if (c != ',') {
      part += c;
    } else if (std::string word = trimmed(std::exchange(part, {})); !word.empty()) {
      parts.push_back(std::move(word));
    }
  }
  return parts;
}

int parse_count(const std::string& option, const std::string& text) {
  std::size_t used = 0;
  long long value = -1;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const int shift = unit == "K" || unit == "k" ? 10 : unit == "M" || unit == "m" ? 20 : 0;
  if (used == 0 || (shift == 0 && !unit.empty()) || value < 0 || value > (2147483647LL >> shift)) {
    throw usage_error(
        fmt::format("--{} '{}' is not a count: give a number such as 1024 or 16K", option, text));
  }
  return static_cast<int>(value << shift);
}

double parse_real(const std::string& option, std::string_view value, const std::string& text) {
  std::size_t used = 0;
  double number = NAN;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = trimmed(text.substr(used));
  if (used > 0 && unit.empty()) return number;
  std::vector<std::string_view> known;
  for (const Unit& one : kUnits) {
    if (one.value != value) continue;
    if (used > 0 && one.unit == unit) return number * one.factor;
    known.push_back(one.unit);
  }
  throw usage_error(fmt::format(
      "--{} '{}' is not a number: give one such as 1.5{}", option, text,
      known.empty() ? "" : fmt::format(", or with {} behind it", fmt::join(known, ", "))));
}

std::vector<int> parse_counts(const std::string& option, const std::string& text) {
  std::vector<int> counts;
  for (const std::string& part : split_list(text)) counts.push_back(parse_count(option, part));
  return counts;
}

std::vector<int> parse_sweep(const std::string& option, const std::string& text) {
  const auto first_colon = text.find(':');
  std::vector<int> values;
  if (first_colon == std::string::npos) {
    values = parse_counts(option, text);
  } else {
    const auto second_colon = text.find(':', first_colon + 1);
    const std::string by = second_colon == std::string::npos ? "x2" : text.substr(second_colon + 1);
    const bool factor = !by.empty() && by[0] == 'x';
    const std::int64_t from = parse_count(option, text.substr(0, first_colon));
    const std::int64_t to =
        parse_count(option, text.substr(first_colon + 1, second_colon - first_colon - 1));
    const std::int64_t step = parse_count(option, factor ? by.substr(1) : by);
    if (step < (factor ? 2 : 1) || from < 1) {
      throw usage_error(fmt::format(
          "--{} '{}' does not grow: give from:to:xFACTOR or from:to:INCREMENT", option, text));
    }
    for (std::int64_t value = from; value <= to && values.size() <= kMostInSweep;
         value = factor ? value * step : value + step) {
      values.push_back(static_cast<int>(value));
    }
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  if (values.empty() || values.size() > kMostInSweep) {
    throw usage_error(fmt::format("--{} '{}' names {} values: give 1 to {}", option, text,
                                  values.empty() ? "no" : "too many", kMostInSweep));
  }
  return values;
}

std::vector<double> parse_slowdown(const std::string& text) {
  std::vector<double> values;
  for (const std::string& part : split_list(text)) {
    std::size_t used = 0;
    double value = NAN;
    try {
      value = std::stod(part, &used);
    } catch (const std::exception&) {
    }
    if (used != part.size() || !std::isfinite(value) || value < 1 || value > 1000) {
      throw usage_error(fmt::format(
          "--slowdown '{}' is not a factor of 1 to 1000 (1 = reference speed, larger = slower)",
          part));
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace gembench::inline cli
