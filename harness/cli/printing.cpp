#include "harness/cli/printing.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "placement/base/error.hpp"

namespace gembench::inline cli {
namespace {

int failure = 0;  // errno of the first write to standard output that failed

void keep_failure() {
  if (failure == 0) failure = errno;
}

}  // namespace

void prepare_streams() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    // Results must not vanish in silence, so standard output is opened so that writing fails. The
    // lowest free number is this one.
    static_cast<void>(open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY));
  }
}

void print_text(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) keep_failure();
}

void show_printed() {
  if (std::fflush(stdout) != 0) keep_failure();
}

void require_printed() {
  show_printed();
  if (failure == 0 || failure == EPIPE) return;
  throw Error(
      ExitCode::output,
      fmt::format("cannot write to standard output: {}: send it elsewhere, output files are "
                  "complete",
                  failure == EBADF ? "it is closed" : system_reason(failure)));
}

void tell(std::string_view sentence) {
  const std::string line = fmt::format("gembench: {}\n", sentence);
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t written = write(STDERR_FILENO, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace gembench::inline cli
