#include "harness/cli/printing.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <string>

#include "harness/cli/terminal.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cli {
namespace {

int failure = 0;  // errno of the first write to standard output that failed

std::mutex drawing;     // planning draws from several threads
std::size_t drawn = 0;  // characters of the progress that stands on the terminal

void keep_failure() {
  if (failure == 0) failure = errno;
}

/// Failures are ignored.
void write_error(std::string_view left) {
  while (!left.empty()) {
    const ssize_t written = write(STDERR_FILENO, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

const char* frame_end() {
  return terminal().by_lines ? "\n" : "";
}

/// Characters that fit in a line of the terminal as it is now. The last column stays free:
/// terminals differ in where the cursor is after it.
int room() {
  return columns_now() - 1;
}

/// What takes the drawn progress away. Blanks, since they need no terminal that knows codes.
std::string clearing() {
  if (drawn == 0) return {};
  const std::string blanks(std::min(drawn, static_cast<std::size_t>(room())), ' ');
  drawn = 0;
  return fmt::format("\r{}\r{}", blanks, frame_end());
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

bool bold_printing() {
  return terminal().bold;
}

void print_text(std::string_view text) {
  clear_progress();
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

bool draws_progress() {
  return terminal().in_place;
}

void draw_progress(const ProgressState& state) {
  if (!draws_progress()) return;
  const std::lock_guard lock(drawing);
  const int width = room();
  const std::string line = progress_bar(state, width);
  const std::size_t before = std::min(drawn, static_cast<std::size_t>(width));
  const std::string rest(before > line.size() ? before - line.size() : 0, ' ');
  write_error(fmt::format("\r{}{}{}", line, rest, frame_end()));
  drawn = line.size() + rest.size();
}

void clear_progress() {
  const std::lock_guard lock(drawing);
  write_error(clearing());
}

void tell(std::string_view sentence) {
  const std::lock_guard lock(drawing);
  write_error(fmt::format("{}gembench: {}\n", clearing(), sentence));
}

}  // namespace gembench::inline cli
