#pragma once

#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Header, table and verdict for readers. The last line is "# check: PASS", "# check: FAIL ..." or
/// "# check: none".
[[nodiscard]] std::string as_table(const RunReader& file, const Comparison& comparison,
                                   const std::string& path);
/// `tokens` by placement over the files of one sweep.
[[nodiscard]] std::string sweep_table(const std::vector<std::string>& paths);

}  // namespace gembench::inline report
