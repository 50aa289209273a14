#include <fmt/format.h>

#include <concepts>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <variant>

#include "harness/cli/command_line.hpp"
#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/run/address_layout.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/watchdog.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/launch.hpp"
#include "placement/base/error.hpp"

namespace {

using namespace gembench;

bool names_mpi_command(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  return command == "run" || command == "profile" || command == "probe";
}

bool needs_mpi(const Parsed& parsed) {
  const auto* profile = std::get_if<ProfileCommand>(&parsed.command);
  return std::holds_alternative<RunCommand>(parsed.command) ||
         std::holds_alternative<ProbeCommand>(parsed.command) || (profile && profile->with.empty());
}

int report_once(const Error& error) {
  if (launched_as().rank == 0) tell(error.what());
  return static_cast<int>(error.code());
}

/// Runs `work` on all ranks, with MPI; its exit code is the same on all of them. An error that all
/// ranks agree on ends them in order; any other may be this rank's alone, so it ends the job.
int with_mpi(int argc, char** argv, const std::function<ExitCode(const Comm&)>& work) {
  // Ranks that share CPUs must yield while they wait, or a barrier takes a scheduler's time slice.
  if (ranks_share_cpus_before_mpi()) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  require_launcher();
  MpiSession session(argc, argv);
  const Comm comm = Comm::world();
  int code = static_cast<int>(ExitCode::failed);
  std::string reason;
  try {
    on_every_rank(comm, [&] { require_all_ranks(comm); });
    const ExitCode result = work(comm);
    on_root(comm, require_printed);
    return static_cast<int>(result);
  } catch (const AgreedError& error) {
    return report_once(error);
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
    reason = error.what();
  } catch (const std::bad_alloc&) {
    code = static_cast<int>(ExitCode::environment);
    reason = "out of memory: use fewer --tokens or --layers, or a larger --scale";
  } catch (const std::exception& error) {
    reason = error.what();
  }
  tell(fmt::format("rank {}: {}", comm.rank(), reason));
  MpiSession::abort(code);
}

/// Ranks may be started with different command lines, so an error may be known to one rank only:
/// they agree on errors first.
int run_together(int argc, char** argv) {
  return with_mpi(argc, argv, [&](const Comm& comm) {
    Parsed parsed;
    on_every_rank(comm, [&] {
      parsed = parse_command_line(argc, argv);
      if (!needs_mpi(parsed)) throw usage_error("this command runs without mpirun");
    });
    if (auto* run = std::get_if<RunCommand>(&parsed.command)) {
      run->without_launcher = launched_as().by.empty();
      watch_for_stop(run->timeout);
      Watchdog watchdog(comm, run->timeout, run->hang_timeout);
      execute(comm, *run, watchdog.progress());
    } else if (const auto* probe = std::get_if<ProbeCommand>(&parsed.command)) {
      watch_for_stop(0);
      Watchdog watchdog(comm, 0, probe->hang_timeout);
      return execute(comm, *probe, watchdog.progress());
    } else {
      const auto& profile = std::get<ProfileCommand>(parsed.command);
      watch_for_stop(0);
      Watchdog watchdog(comm, 0, profile.hang_timeout);
      execute(comm, profile, watchdog.progress());
    }
    return ExitCode::ok;
  });
}

template <class C>
ExitCode execute_alone(const C& command) {
  if constexpr (requires { ExitCode{execute(command)}; })
    return execute(command);
  else if constexpr (!std::same_as<C, RunCommand> && !std::same_as<C, ProbeCommand>)
    execute(command);
  return ExitCode::ok;
}

int run_alone(const Command& command) {
  if (launched_as().rank != 0) return static_cast<int>(ExitCode::ok);  // profile --with
  const ExitCode code = std::visit([](const auto& one) { return execute_alone(one); }, command);
  require_printed();
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  prepare_streams();
  // Commands without MPI run once, even if a launcher started several processes.
  if (launched_as().rank != 0 && !names_mpi_command(argc, argv)) return 0;
  try {
    Parsed parsed;
    try {
      parsed = parse_command_line(argc, argv);
    } catch (const Error&) {
      if (launched_as().size == 1 || !names_mpi_command(argc, argv)) throw;
      return run_together(argc, argv);
    }
    if (std::holds_alternative<ProbeCommand>(parsed.command)) reenter_with_fixed_addresses(argv);
    if (needs_mpi(parsed)) return run_together(argc, argv);
    if (!parsed.text) return run_alone(parsed.command);
    if (launched_as().rank == 0) print_text(*parsed.text);
    require_printed();
    return static_cast<int>(ExitCode::ok);
  } catch (const Error& error) {
    return report_once(error);
  } catch (const std::exception& error) {
    return report_once(Error(ExitCode::failed, error.what()));
  }
}
