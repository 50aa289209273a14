#pragma once

#include <csignal>
#include <string>

#include "moe_layer/mpi/comm.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {

/// From now on SIGTERM and SIGINT request an orderly end (a second SIGINT ends at once), and so
/// does a time limit (seconds from now, 0 = none). The Watchdog ends a process that hangs
/// kGraceSeconds after the limit. A file-size limit becomes a write error.
void watch_for_stop(double timeout_seconds);
inline constexpr int kGraceSeconds = 10;

/// Whether a signal asked this process to end.
[[nodiscard]] bool asked_to_stop();

/// Watches for signals within a scope and restores the handlers afterwards: for commands without
/// MPI, which a signal ends at once outside of such scopes.
class StopScope {
 public:
  StopScope();
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  struct sigaction term_, interrupt_;
};

/// Whether a signal or the time limit asked this process to end.
[[nodiscard]] bool must_stop();
/// Throws the error for it: failed or timeout. `where`: "while planning gem"; `kept` as below.
[[noreturn]] void throw_stopped(const std::string& where, const std::string& kept);

/// Ends this process with `code` unless it ends by itself within `seconds`: for MPI_Finalize, which
/// waits for all ranks, also for one that is stopped. `sentence`: said then, "" = nothing.
void end_within(unsigned seconds, ExitCode code, const std::string& sentence);

/// Collective: if any rank has been asked to end, all throw the same error: failed or timeout.
/// `kept` ends the sentence: what is safe, and how to continue.
void throw_if_stopped(const Comm& comm, const std::string& kept);

}  // namespace gembench::inline run
