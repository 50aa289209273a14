#pragma once

#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// What `run` prints at its end and `compare` prints of the same file: header, table, verdict.
/// The last line of a table is "# check: PASS", "# check: FAIL .." or "# check: none".
[[nodiscard]] std::string as_table(const RunReader& file, const Comparison& comparison,
                                   const std::string& path);
/// One line per placement under a line of names; seconds.
[[nodiscard]] std::string as_csv(const RunReader& file, const Comparison& comparison);
/// The same with the run's conditions; seconds.
[[nodiscard]] std::string as_json(const RunReader& file, const Comparison& comparison,
                                  const std::string& path);
/// `tokens` by placement over the files of one sweep.
[[nodiscard]] std::string sweep_table(const std::vector<std::string>& paths);
/// --non-moe-time of the run, seconds a layer.
[[nodiscard]] double stated_non_moe_time(const RunInfo& info);
/// "tokens" or "experts": the cost model that the run planned with.
[[nodiscard]] std::string planned_cost(const RunInfo& info);
/// In the format the options ask for: what `compare` found in the file, or what it finds against
/// the first placement.
[[nodiscard]] std::string run_report(const RunReader& file, const Comparison& comparison,
                                     const std::string& path, const std::string& format);
[[nodiscard]] std::string run_report(const std::string& path, const std::string& format);

}  // namespace gembench::inline report
