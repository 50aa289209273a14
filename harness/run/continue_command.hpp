#pragma once

#include <string>
#include <vector>

#include "harness/cli/options.hpp"

namespace gembench::inline run {

/// The command that continues a run of so many ranks, as a shell takes it: launcher, program, words
/// and --resume. Scripts that start gembench name themselves in GEMBENCH_STARTED_BY: all that
/// comes before the words.
[[nodiscard]] std::string continue_command(const RunCommand& options, int ranks);

/// Quoted where a shell would make something else of it.
[[nodiscard]] std::string shell_word(const std::string& word);

}  // namespace gembench::inline run
