#pragma once

#include <string>

#include "harness/report/launches.hpp"

namespace gembench::inline report {

/// What `compare` prints of the files of one configuration, after each by itself: in JSON an object
/// `pooled`, in CSV lines of their own under a line of names.
[[nodiscard]] std::string pooled_report(const PooledRuns& runs, const std::string& format);

}  // namespace gembench::inline report
