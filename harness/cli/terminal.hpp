#pragma once

#include <functional>
#include <string_view>

namespace gembench::inline cli {

/// What the standard streams lead to.
struct Terminal {
  bool bold = false;      ///< standard output may have codes for bold print
  bool in_place = false;  ///< standard error may be overwritten with carriage returns
  /// A script reads standard error line by line and draws: what is drawn ends with a line's end.
  bool by_lines = false;
  int columns = 80;  ///< of standard error; at least 1

  bool operator==(const Terminal&) const = default;
};

/// What can be asked about the streams of this process.
struct StreamFacts {
  bool output_is_terminal = false, error_is_terminal = false;
  int columns = 0;  ///< 0 = unknown
  /// Open MPI gives its ranks terminals of their own, whatever mpirun writes to.
  bool launched = false;
};
/// The value of an environment variable, or null. GEMBENCH_TERMINAL (words `out`, `err`) says what
/// the streams of the script lead to that started the launcher.
[[nodiscard]] Terminal terminal_in(const StreamFacts& streams,
                                   const std::function<const char*(const char* name)>& variable);

/// This process's, as it was when first asked.
[[nodiscard]] const Terminal& terminal();
/// Its columns now: a window changes its size.
[[nodiscard]] int columns_now();

}  // namespace gembench::inline cli
