#pragma once

#include <string>
#include <vector>

#include "harness/report/csv.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/session.hpp"

namespace gembench::inline commands {

/// Collective: what a run would take and gain, as text on rank 0: predicted time to the barriers of
/// every placement, the time and memory of the run, the size of its file. Runs two steps under
/// linear to know how long one takes, unless the ranks are simulated. `part` of a sweep in CSV.
[[nodiscard]] std::string dry_run(Session& session, const RunCommand& options,
                                  const Profile& profile, const PlannedPlacements& planned,
                                  const std::vector<Segment>& schedule, const CsvPart& part);

}  // namespace gembench::inline commands
