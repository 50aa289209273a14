#pragma once

#include <csignal>
#include <string>

#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline run {

/// From now on SIGTERM and SIGINT ask for an end in order (a second SIGINT ends at once), and so
/// does a time limit (seconds from now, 0 = none). A process that has not ended kGraceSeconds after
/// the limit, because it hangs, is ended by its Watchdog. A file-size limit becomes a write error.
void watch_for_stop(double timeout_seconds);
inline constexpr int kGraceSeconds = 10;

/// Whether a signal asked this process to end.
[[nodiscard]] bool asked_to_stop();

/// Watches for signals within a scope, and leaves them as they were: for commands without MPI,
/// which a signal ends at once wherever nobody looks for it.
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
/// Throws what says so: failed or timeout. `where` it was: "while planning gem"; `kept` as below.
[[noreturn]] void throw_stopped(const std::string& where, const std::string& kept);

/// Collective: if any rank has been asked to end, all throw the same error: failed or timeout.
/// `kept` ends the sentence: what is safe, and how to go on.
void throw_if_stopped(const Comm& comm, const std::string& kept);

}  // namespace gembench::inline run
