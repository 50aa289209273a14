#pragma once

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gembench::inline base {

/// Exit codes of the program, the same on every rank.
enum class ExitCode : int {
  ok = 0,
  failed = 1,       ///< the check failed, `probe` found a slow rank, or something went wrong
  usage = 2,        ///< command line, configuration or an input file
  environment = 3,  ///< no GPU, too little memory, a missing CPU feature
  output = 4,       ///< a result exists already or cannot be written
  timeout = 5,
  not_recommended = 6,        ///< `advise`: no placement would pay
  insufficient_evidence = 7,  ///< `advise`, `probe`: it cannot be told
};

/// The text with control characters replaced by '?', so that it breaks neither a line nor a
/// terminal.
[[nodiscard]] inline std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

/// A file's text for quoting in a sentence: shortened, and in ASCII.
[[nodiscard]] inline std::string shown(std::string_view text) {
  constexpr std::size_t kShown = 24;
  std::string part(text.substr(0, kShown));
  std::ranges::replace_if(
      part, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kShown ? part + ".." : part;
}

/// The text of errno. Kernel file systems also return a number that no C library knows.
[[nodiscard]] inline std::string system_reason(int error) {
  constexpr int kNotSupported = 524;  // ENOTSUPP
  return error == kNotSupported ? "not supported by the file system (ENOTSUPP)"
                                : std::strerror(error);
}

/// An error for the user: one sentence with the remedy, without prefix and full stop, and the
/// program's exit code. Only `main` prints it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& sentence)
      : std::runtime_error(one_line(sentence)), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// A mistake in the command line or in an input file.
[[nodiscard]] inline Error usage_error(const std::string& sentence) {
  return Error(ExitCode::usage, sentence);
}

}  // namespace gembench::inline base
