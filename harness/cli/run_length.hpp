#pragma once

#include <string>

#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// When a run has measured enough.
struct StopRule {
  double precision = 0;    ///< largest half width of any interval, a fraction; 0 = no such rule
  double max_seconds = 0;  ///< wall clock of measuring; 0 = no such rule
};

// How long a run measures: --steps exactly; without it until its intervals are narrow enough or its
// time is over.

/// Fills in what the command line leaves open of steps, precision and time. Intervals are looked at
/// where several placements stay as they are; the number of steps is then the most that there may
/// be.
void settle_length(SessionOptions& options);
/// A settled number of steps where ranks and loads are known: one rank has nothing to compare, a
/// trace has so many steps (0 = no trace). Stated steps stay.
void fit_length(SessionOptions& options, int ranks, int trace_steps);
/// Whether there are placements to compare, none of which changes meanwhile.
[[nodiscard]] bool compares_placements(const SessionOptions& options);
/// When such a run ends before its last step.
[[nodiscard]] StopRule stop_rule(const SessionOptions& options);
/// Whether it may: its steps are then at most so many.
[[nodiscard]] bool may_end_early(const SessionOptions& options);

/// ", less where every interval is within +-2 points or after 150 s": for dry runs; or empty.
[[nodiscard]] std::string end_in_words(const SessionOptions& options);
/// Why a run ends after its last step, in words.
[[nodiscard]] std::string at_last_step(const SessionOptions& options);

}  // namespace gembench::inline cli
