#pragma once

#include <stdexcept>
#include <string>

namespace gembench {

/// Exit codes of the program, the same on every rank.
enum class ExitCode : int {
  ok = 0,
  failed = 1,       ///< the check failed, or something went wrong while running
  usage = 2,        ///< command line, configuration or an input file
  environment = 3,  ///< no GPU, too little memory, a missing CPU feature
  output = 4,       ///< a result exists already or cannot be written
  timeout = 5,
};

/// What a user is told: one sentence with the remedy, without prefix and without full stop, and
/// the code the program ends with. `main` is the only place that prints it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// A mistake in the command line or in an input file.
[[nodiscard]] inline Error usage_error(const std::string& sentence) {
  return Error(ExitCode::usage, sentence);
}

}  // namespace gembench
