#pragma once

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// The options of the commands that measure, which write into `o`.
void define(OptionSet& set, RunCommand& o);
void define(OptionSet& set, ProfileCommand& o);
void define(OptionSet& set, ProbeCommand& o);

/// Fills in implied options before the checks: a trace implies its routing.
void settle(RunCommand& o);
void settle(ProfileCommand& o);

}  // namespace gembench::inline cli
