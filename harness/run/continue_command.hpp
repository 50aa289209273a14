#pragma once

#include <string>
#include <vector>

#include "harness/cli/options.hpp"

namespace gembench::inline run {

/// The shell command that continues a run on this many ranks: launcher, program, words and
/// --resume. Scripts that start gembench give the part before the words in GEMBENCH_STARTED_BY.
[[nodiscard]] std::string continue_command(const RunCommand& options, int ranks);

}  // namespace gembench::inline run
