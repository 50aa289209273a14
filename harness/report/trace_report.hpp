#pragma once

#include <string>

#include "placement/loads/trace.hpp"

namespace gembench::inline report {

/// What `trace info` prints of a trace, as a table or json.
[[nodiscard]] std::string trace_report(const std::string& path, const Trace& trace,
                                       const std::string& format);

}  // namespace gembench::inline report
