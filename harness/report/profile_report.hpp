#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/profile_compare.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline report {

/// What `profile` prints: OUTPUT.md is the contract. `header`: lines for people, of the table only.
[[nodiscard]] std::string profile_report(const ProfileFile& file,
                                         const std::optional<ProfileComparison>& comparison,
                                         const std::vector<std::string>& header,
                                         const std::string& format);

}  // namespace gembench::inline report
