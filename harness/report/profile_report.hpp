#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/profile_compare.hpp"
#include "harness/report/profile_history.hpp"
#include "harness/report/quiet_report.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline report {

/// Lines above the table of a profile: program, device, clock and why it, `model` in words, how
/// quiet the machine was.
[[nodiscard]] std::vector<std::string> profile_header(const ProfileFile& file,
                                                      const QuietReadings& quiet,
                                                      const std::string& clock_reason,
                                                      const std::string& model,
                                                      const QuietWords& words);

/// The output of `profile`; OUTPUT.md is the contract. `header`: lines shown only in the table.
[[nodiscard]] std::string profile_report(const ProfileFile& file,
                                         const std::optional<ProfileComparison>& comparison,
                                         const std::optional<ProfileHistory>& history,
                                         const std::vector<std::string>& header,
                                         const std::string& format);

}  // namespace gembench::inline report
