#include "harness/run/stop.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "harness/run/collective_errors.hpp"
#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline run {
namespace {

volatile std::sig_atomic_t asked_by = 0;
double deadline = 0;  // wall_seconds(), 0 = none
double limit = 0;
int late_code = 0;
// As it is written: a handler may not allocate, and comes after static objects have ended.
char late_line[1024];
std::size_t late_length = 0;

extern "C" void on_stop(int signal) {
  asked_by = signal;
}

extern "C" void on_late_end(int) {
  const ssize_t ignored = write(STDERR_FILENO, late_line, late_length);
  static_cast<void>(ignored);
  _exit(late_code);
}

void handle(int signal, void (*handler)(int), int flags, struct sigaction* before = nullptr) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags | SA_RESTART;
  sigaction(signal, &action, before);
}

bool is_late() {
  return deadline > 0 && wall_seconds() > deadline;
}

const char* name_of_signal(int signal) {
  return signal == SIGINT ? "SIGINT" : "SIGTERM";
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

StopScope::StopScope() {
  handle(SIGTERM, on_stop, 0, &term_);
  handle(SIGINT, on_stop, static_cast<int>(SA_RESETHAND), &interrupt_);
}

StopScope::~StopScope() {
  sigaction(SIGTERM, &term_, nullptr);
  sigaction(SIGINT, &interrupt_, nullptr);
}

void end_within(unsigned seconds, ExitCode code, const std::string& sentence) {
  late_code = static_cast<int>(code);
  constexpr std::size_t kMost = sizeof late_line - sizeof "gembench: \n";
  late_length = 0;
  if (!sentence.empty()) {
    const std::string_view kept = std::string_view(sentence).substr(0, kMost);
    late_length =
        static_cast<std::size_t>(fmt::format_to(late_line, "gembench: {}\n", kept) - late_line);
  }
  handle(SIGALRM, on_late_end, 0);
  alarm(seconds);
}

bool must_stop() {
  return asked_to_stop() || is_late();
}

void throw_stopped(const std::string& where, const std::string& kept) {
  if (asked_to_stop()) {
    throw Error(ExitCode::failed,
                fmt::format("ended by {} {}: {}", name_of_signal(asked_by), where, kept));
  }
  throw Error(ExitCode::timeout,
              fmt::format("not done after --timeout {:g} s, {}: {}", limit, where, kept));
}

bool asked_to_stop() {
  return asked_by != 0;
}

void throw_if_stopped(const Comm& comm, const std::string& kept) {
  // One number for both, so that one reduction is enough: a signal counts more.
  const double worst = comm.max(asked_by != 0 ? 1000.0 + asked_by : is_late() ? 1.0 : 0.0);
  if (worst >= 1000) {
    throw AgreedError(
        ExitCode::failed,
        fmt::format("interrupted by {}: {}", name_of_signal(static_cast<int>(worst) - 1000), kept));
  }
  if (worst > 0) {
    throw AgreedError(ExitCode::timeout,
                      fmt::format("not done after --timeout {:g} s: {}", limit, kept));
  }
}

}  // namespace gembench::inline run
