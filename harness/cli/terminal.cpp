#include "harness/cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "moe_layer/mpi/launch.hpp"

namespace gembench::inline cli {
namespace {

bool names(std::string_view words, std::string_view word) {
  return words.find(word) != std::string_view::npos;
}

StreamFacts facts_of_streams() {
  StreamFacts facts;
  facts.output_is_terminal = isatty(STDOUT_FILENO) == 1;
  facts.error_is_terminal = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) facts.columns = size.ws_col;
  facts.launched = !launched_as().by.empty();
  return facts;
}

Terminal this_terminal() {
  return terminal_in(facts_of_streams(), [](const char* name) { return std::getenv(name); });
}

}  // namespace

Terminal terminal_in(const StreamFacts& streams,
                     const std::function<const char*(const char* name)>& variable) {
  const auto value = [&](const char* name) {
    const char* text = variable(name);
    return std::string(text == nullptr ? "" : text);
  };
  Terminal found;
  if (value("TERM") == "dumb") return found;
  const std::string said = value("GEMBENCH_TERMINAL");
  const bool output = streams.launched ? names(said, "out") : streams.output_is_terminal;
  found.bold = output && value("NO_COLOR").empty();
  found.in_place = streams.launched ? names(said, "err") : streams.error_is_terminal;
  found.by_lines = found.in_place && streams.launched;
  const int stated = std::atoi(value("COLUMNS").c_str());
  if (streams.columns > 0 && !streams.launched) {
    found.columns = streams.columns;
  } else if (stated > 0) {
    found.columns = stated;
  }
  return found;
}

const Terminal& terminal() {
  static const Terminal found = this_terminal();
  return found;
}

int columns_now() {
  return this_terminal().columns;
}

}  // namespace gembench::inline cli
