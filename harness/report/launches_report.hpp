#pragma once

#include <string>
#include <vector>

#include "harness/report/launches.hpp"

namespace gembench::inline report {

/// The pooled result of files of one configuration, which `compare` prints after the single files:
/// a table, or in JSON an object `pooled`.
[[nodiscard]] std::string pooled_report(const PooledRuns& runs, const std::string& format);

/// Several files under one header: csv_table() with a column `file` before and the pooled results'
/// columns after it, and last the pooled results.
[[nodiscard]] std::string launches_csv(const std::vector<LaunchRun>& launches,
                                       const std::vector<PooledRuns>& groups);

/// What the launches have found together, in a sentence.
[[nodiscard]] std::string pooled_verdict(const PooledRuns& runs);

}  // namespace gembench::inline report
