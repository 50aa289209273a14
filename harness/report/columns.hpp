#pragma once

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
/// begin with "# ".
[[nodiscard]] std::string text_table(const std::string& name, const std::vector<std::string>& rows,
                                     const std::vector<TextColumn>& columns);

}  // namespace gembench::inline report
