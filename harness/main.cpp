#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "harness/agreement.hpp"
#include "harness/commands.hpp"
#include "harness/options.hpp"
#include "moe_layer/clock.hpp"
#include "moe_layer/comm.hpp"
#include "placement/error.hpp"

namespace {

using namespace gembench;

int report_once(const Error& error) {
  if (launched_as().rank == 0) fmt::print(stderr, "gembench: {}\n", error.what());
  return static_cast<int>(error.code());
}

/// Subcommands that need MPI. An error that all ranks agree on ends them in order; any other may be
/// this rank's alone, so it ends the job.
int run_with_mpi(int argc, char** argv, const Options& options) {
  // Ranks that share CPUs must give way while they wait, or a barrier takes a scheduler's slice.
  if (ranks_share_cpus_before_mpi()) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  MpiSession session(argc, argv);
  const Comm comm = Comm::world();
  int code = static_cast<int>(ExitCode::failed);
  std::string reason;
  try {
    options.command == "run" ? run_command(comm, options) : profile_command(comm, options);
    return static_cast<int>(ExitCode::ok);
  } catch (const AgreedError& error) {
    return report_once(error);
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
    reason = error.what();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  fmt::print(stderr, "gembench: rank {}: {}\n", comm.rank(), reason);
  MpiSession::abort(code);
}

int run_alone(const Options& options) {
  if (options.command == "trace") trace_command(options);
  if (options.command == "plan") plan_command(options);
  if (options.command == "score") score_command(options);
  if (options.command == "compare") compare_command(options);
  if (options.command == "list") list_command();
  return static_cast<int>(ExitCode::ok);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Parsed parsed = parse_command_line(argc, argv);
    if (parsed.help) {
      if (launched_as().rank == 0) fmt::print("{}", *parsed.help);
      return static_cast<int>(ExitCode::ok);
    }
    const Options& options = parsed.options;
    if (options.command == "run" || options.command == "profile") {
      return run_with_mpi(argc, argv, options);
    }
    return run_alone(options);
  } catch (const Error& error) {
    return report_once(error);
  } catch (const std::exception& error) {
    return report_once(Error(ExitCode::failed, error.what()));
  }
}
