#pragma once

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/progress.hpp"

namespace gembench::inline commands {

// One function per subcommand. They print results on standard output and throw what goes wrong;
// those of many ranks say in `progress` what this rank does.

/// The main job, collective: profile if none is given, plan, measure side by side, write, compare.
void run_command(const Comm& comm, const Options& options, Progress& progress);
/// Collective: measures and writes profile.h5, prints it, compares it.
void profile_command(const Comm& comm, const Options& options, Progress& progress);

/// profile --compare OLD --with NEW
void compare_profiles_command(const Options& options);
void trace_command(const Options& options);
void plan_command(const Options& options);
void score_command(const Options& options);
void convert_command(const Options& options);
void compare_command(const Options& options);
void list_command();

}  // namespace gembench::inline commands
