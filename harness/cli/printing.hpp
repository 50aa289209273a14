#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace gembench::inline cli {

// The only place that writes to standard output and standard error.

/// First thing in main(). A standard stream that is closed is opened on /dev/null, or a results
/// file would get its number and what is printed; a reader that leaves (`| head`) and a file-size
/// limit are errors of a write, not signals.
void prepare_streams();

/// A part of the results, to standard output. What cannot be written shows in require_printed().
void print_text(std::string_view text);
template <class... Values>
void print_result(fmt::format_string<Values...> format, Values&&... values) {
  print_text(fmt::format(format, std::forward<Values>(values)...));
}
/// Now, and not when more has gathered.
void show_printed();
/// Once, at the end: output error when any of it could not be written. A reader that left has seen
/// what it wanted.
void require_printed();

/// "gembench: sentence" to standard error. Progress or a reason, never a result: what cannot be
/// written is lost.
void tell(std::string_view sentence);

}  // namespace gembench::inline cli
