#pragma once

#include <string>

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline commands {

/// What a run on --ranks many ranks would take, from one process and without them: planning is
/// done, sizes are computed, nothing is measured. The profile is the one given, else ranks are
/// taken for equally fast. Usage error with more than one process, or --routing router.
[[nodiscard]] std::string dry_run_alone(const Comm& comm, const RunCommand& options);

}  // namespace gembench::inline commands
