#pragma once

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/progress.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline commands {

// One function per command. They print results on standard output and throw errors. Functions for
// many ranks report in `progress` what this rank is doing.

/// The main job, collective: profile if none is given, plan, measure side by side, write, compare.
void execute(const Comm& comm, const RunCommand& command, Progress& progress);
/// Collective: measures and writes profile.h5, prints it, compares it.
void execute(const Comm& comm, const ProfileCommand& command, Progress& progress);

/// Collective: names slow ranks. The same exit code on all ranks: failed where one is slow,
/// insufficient evidence where the noise hides what was asked about.
[[nodiscard]] ExitCode execute(const Comm& comm, const ProbeCommand& command, Progress& progress);

/// profile --with FILE, with --compare or --history
void execute(const ProfileCommand& command);
void execute(const TraceMakeCommand& command);
void execute(const TraceImportCommand& command);
void execute(const TraceJoinCommand& command);
void execute(const TraceInfoCommand& command);
void execute(const PlanCommand& command);
void execute(const ScoreCommand& command);
/// The exit code is the advice.
[[nodiscard]] ExitCode execute(const AdviseCommand& command);
void execute(const SensitivityCommand& command);
void execute(const ConvertCommand& command);
void execute(const InfoCommand& command);
/// Failed, where a run is slower than `fail_above` allows.
[[nodiscard]] ExitCode execute(const CompareCommand& command);
void execute(const ListCommand& command);
void execute(const CompletionCommand& command);
void execute(const ManCommand& command);

}  // namespace gembench::inline commands
