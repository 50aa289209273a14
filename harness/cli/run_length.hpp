#pragma once

#include <string>

#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// When a run has measured enough.
struct StopRule {
  double precision = 0;    ///< largest half width of any interval, as a fraction; 0 = no such rule
  double max_seconds = 0;  ///< wall clock of measuring; 0 = no such rule
};

// How long a run measures: exactly --steps, or without it until its intervals are narrow enough or
// its time is up.

/// Fills in steps, precision and time where the command line leaves them open. Intervals are used
/// if several placements do not change; the number of steps is then an upper limit.
void settle_length(SessionOptions& options);
/// The number of steps once ranks and loads are known: one rank has nothing to compare, and a trace
/// limits the steps (0 = no trace). Stated steps stay the same.
void fit_length(SessionOptions& options, int ranks, int trace_steps);
/// Whether there are placements to compare, none of which changes during the run.
[[nodiscard]] bool compares_placements(const SessionOptions& options);
/// The rule by which such a run ends before its last step.
[[nodiscard]] StopRule stop_rule(const SessionOptions& options);
/// Whether it may end early; the number of steps is then an upper limit.
[[nodiscard]] bool may_end_early(const SessionOptions& options);

/// ", less where every interval is within +-2 points or after 150 s": for dry runs; or empty.
[[nodiscard]] std::string end_in_words(const SessionOptions& options);
/// Why a run ends after its last step, in words.
[[nodiscard]] std::string at_last_step(const SessionOptions& options);

}  // namespace gembench::inline cli
