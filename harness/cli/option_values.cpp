#include "harness/cli/option_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline cli {
namespace {

constexpr std::size_t kMostInSweep = 64;

}  // namespace

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",") {
    if (c != ',') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
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
