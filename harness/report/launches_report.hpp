#pragma once

#include <string>

#include "harness/report/launches.hpp"

namespace gembench::inline report {

/// The pooled result of files of one configuration, which `compare` prints after the single files:
/// in JSON an object `pooled`, in CSV separate lines under their own header line.
[[nodiscard]] std::string pooled_report(const PooledRuns& runs, const std::string& format);

}  // namespace gembench::inline report
