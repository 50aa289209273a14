#pragma once

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// Whether speeds are drawn, and not those of the ranks at hand.
[[nodiscard]] bool draws_speeds(const SlowdownOptions& o);

/// The options of the commands that plan and judge without MPI, which write into `o`.
void define(OptionSet& set, PlanCommand& o);
void define(OptionSet& set, ScoreCommand& o);
void define(OptionSet& set, AdviseCommand& o);
void define(OptionSet& set, SensitivityCommand& o);

}  // namespace gembench::inline cli
