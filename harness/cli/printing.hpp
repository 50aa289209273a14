#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "harness/cli/progress_bar.hpp"

namespace gembench::inline cli {

// The only place that writes to standard output and standard error.

/// Call first in main(). Opens closed standard streams on /dev/null: otherwise a results file could
/// get the stream's number and receive what is printed. A reader that stops early (`| head`) and a
/// file-size limit become write errors instead of signals.
void prepare_streams();

/// Prints a part of the results to standard output. require_printed() reports failures.
void print_text(std::string_view text);
template <class... Values>
void print_result(fmt::format_string<Values...> format, Values&&... values) {
  print_text(fmt::format(format, std::forward<Values>(values)...));
}
/// Whether bold print reaches a terminal: never in a file or a pipe, nor with NO_COLOR or
/// TERM=dumb.
[[nodiscard]] bool bold_printing();
/// Flushes the output now.
void show_printed();
/// Call once at the end: output error if anything could not be written. A reader that stopped early
/// is no error.
void require_printed();

/// Whether progress is drawn in place, on a terminal; else it is told in lines.
[[nodiscard]] bool draws_progress();
inline constexpr double kRedraw = 0.2;  ///< s between drawings
/// Draws it over what was drawn before. Whatever is printed next takes its place.
void draw_progress(const ProgressState& state);
void clear_progress();

/// Prints "gembench: sentence" to standard error: progress or a reason, never a result. Failures
/// are ignored.
void tell(std::string_view sentence);

}  // namespace gembench::inline cli
