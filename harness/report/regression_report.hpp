#pragma once

#include <string>

#include "harness/report/regression.hpp"

namespace gembench::inline report {

/// What `compare NEW --baseline OLD` prints; the last line of the table is the finding.
[[nodiscard]] std::string regression_report(const Regression& regression,
                                            const std::string& format);

}  // namespace gembench::inline report
