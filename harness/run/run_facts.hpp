#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/run/anonymous.hpp"
#include "harness/run/session.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Collective: everything stored in a results file before the first step, on rank 0 (empty
/// elsewhere). With an `identity` nothing of it is in there.
[[nodiscard]] RunInfo describe(const Session& session, const RunCommand& options,
                               const Profile& profile, const std::vector<Placement>& placements,
                               const std::vector<Segment>& schedule,
                               const std::optional<Identity>& identity);

/// What decides on a run's numbers, by name: model, routing, clock, device, versions. Rank 0's.
[[nodiscard]] std::map<std::string, std::string> facts_of(const Session& session,
                                                          const RunCommand& options);
/// The extents of a run's arrays.
[[nodiscard]] RunShape shape_of(const Session& session, std::size_t segments);

/// "2026-11-24T11:44:18Z"
[[nodiscard]] std::string utc_now();

}  // namespace gembench::inline run
