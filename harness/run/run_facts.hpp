#pragma once

#include <string>
#include <vector>

#include "harness/run/session.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Collective: everything stored in a results file before the first step, on rank 0 (empty
/// elsewhere).
[[nodiscard]] RunInfo describe(const Session& session, const RunCommand& options,
                               const Profile& profile, const std::vector<Placement>& placements,
                               const std::vector<Segment>& schedule);

/// "2026-11-24T11:44:18Z"
[[nodiscard]] std::string utc_now();

}  // namespace gembench::inline run
