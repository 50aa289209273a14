#pragma once

#include <string>
#include <vector>

#include "results/quantities.hpp"

namespace gembench::inline report {

/// `-` for what was not measured, never 0.
[[nodiscard]] std::string shown(double value, int digits, double factor = 1);
[[nodiscard]] std::string shown(double value, const Column& as);

/// A column of a table: neighbours with the same `over` stand under one title.
struct TextColumn {
  std::string over, heading;
  std::vector<std::string> cells;  ///< [row]
};
/// Columns as wide as they need be, right-aligned, behind the names of the rows; two lines of
/// heading that begin with "# ".
[[nodiscard]] std::string text_table(const std::string& name, const std::vector<std::string>& rows,
                                     const std::vector<TextColumn>& columns);

}  // namespace gembench::inline report
