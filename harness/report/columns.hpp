#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/numbers.hpp"
#include "results/quantities.hpp"

namespace gembench::inline report {

/// Formatted as the column says; `-` for unmeasured values.
[[nodiscard]] std::string shown(double value, const Column& as);

/// A column of a table; neighbours with the same `over` share one title.
struct TextColumn {
  std::string over, heading;
  std::vector<std::string> cells;  ///< [row]
};
/// Right-aligned columns of the needed width, after the names of the rows; two heading lines that
/// begin with "# ". The row `bold` has a terminal's codes for that.
[[nodiscard]] std::string text_table(const std::string& name, const std::vector<std::string>& rows,
                                     const std::vector<TextColumn>& columns,
                                     std::optional<int> bold = {});

/// A line in bold as terminals know it, or as it is.
[[nodiscard]] std::string emphasised(const std::string& line, bool bold);

}  // namespace gembench::inline report
