#pragma once

#include <string>
#include <vector>

#include "harness/run/session.hpp"
#include "results/run_file.hpp"

namespace gembench::inline commands {

/// Collective: what a run would take and gain, as text on rank 0: predicted time to the barriers of
/// every placement, the time and memory of the run, the size of its file. Runs two steps under
/// linear to know how long one takes.
[[nodiscard]] std::string dry_run(Session& session, const RunCommand& options,
                                  const Profile& profile, const std::vector<Placement>& placements,
                                  const std::vector<Turn>& schedule);

/// What a run on --ranks many ranks would take, from one process and without them: planning is
/// done, sizes are computed, nothing is measured. The profile is the one given, else ranks are
/// taken for equally fast. Usage error with more than one process, or --routing gate.
[[nodiscard]] std::string dry_run_alone(const Comm& comm, const RunCommand& options);

}  // namespace gembench::inline commands
