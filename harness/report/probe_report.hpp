#pragma once

#include <string>
#include <vector>

#include "harness/report/probe_verdict.hpp"

namespace gembench::inline report {

/// The output of `probe`; OUTPUT.md is the contract. `header`: lines shown only in the table.
[[nodiscard]] std::string probe_report(const ProfileFile& now, const ProbeVerdict& verdict,
                                       const std::vector<std::string>& header,
                                       const std::string& format);

}  // namespace gembench::inline report
