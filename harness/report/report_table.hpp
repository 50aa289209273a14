#pragma once

#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Header, table and verdict for readers. The last line but one is "# check: PASS", "# check: FAIL
/// ...", "# check: none" or "# check: INCOMPLETE", the last one the verdict. `bold`: with a
/// terminal's codes for the row of the fastest placement and for the verdict.
[[nodiscard]] std::string as_table(const RunReader& file, const Comparison& comparison,
                                   const std::string& path, bool bold);
/// `tokens` by placement over the files of one sweep, and last what each of them has found.
[[nodiscard]] std::string sweep_table(const std::vector<std::string>& paths,
                                      const std::vector<std::string>& verdicts);

}  // namespace gembench::inline report
