#include "harness/stop.hpp"

#include <fmt/format.h>

#include <csignal>

#include "harness/agreement.hpp"
#include "moe_layer/clock.hpp"

namespace gembench {
namespace {

volatile std::sig_atomic_t asked_by = 0;
double deadline = 0;  // wall_seconds(), 0 = none
double limit = 0;

extern "C" void on_stop(int signal) {
  asked_by = signal;
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags | SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void watch_for_stop(double timeout_seconds) {
  // Launchers send TERM again when the first rank has left, which must not change the others' exit
  // code.
  handle(SIGTERM, on_stop, 0);
  handle(SIGINT, on_stop, static_cast<int>(SA_RESETHAND));
  handle(SIGXFSZ, SIG_IGN, 0);
  if (timeout_seconds <= 0) return;
  limit = timeout_seconds;
  deadline = wall_seconds() + timeout_seconds;
}

bool asked_to_stop() {
  return asked_by != 0;
}

void throw_if_stopped(const Comm& comm, const std::string& kept) {
  const bool late = deadline > 0 && wall_seconds() > deadline;
  // One number for both, so that one reduction is enough: a signal counts more.
  const double worst = comm.max(asked_by != 0 ? 1000.0 + asked_by : late ? 1.0 : 0.0);
  if (worst >= 1000) {
    throw AgreedError(
        ExitCode::failed,
        fmt::format("interrupted by {}: {}", worst - 1000 == SIGINT ? "SIGINT" : "SIGTERM", kept));
  }
  if (worst > 0) {
    throw AgreedError(ExitCode::timeout,
                      fmt::format("not done after --timeout {:g} s: {}", limit, kept));
  }
}

}  // namespace gembench
