#pragma once

#include <optional>
#include <string>

#include "harness/run/learning_curve.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline report {

/// What `trace info` prints of a trace, as a table or json; `learning` if it was asked for.
[[nodiscard]] std::string trace_report(const std::string& path, const Trace& trace,
                                       const std::string& format,
                                       const std::optional<LearningCurve>& learning = {});

}  // namespace gembench::inline report
