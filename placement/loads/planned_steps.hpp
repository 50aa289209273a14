#pragma once

#include <cstdint>
#include <vector>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// What tells a trace and each of its steps from others: digests of the counts, which is what
/// planners see. The same loads have the same digests in any file and in a slice of the trace.
struct TraceDigests {
  std::uint64_t trace = 0;
  std::vector<std::uint64_t> steps;  ///< [step]
};
[[nodiscard]] TraceDigests digests_of(const Trace& trace);
/// Digests are only compared with those of the same version.
inline constexpr int kDigestVersion = 1;

/// Successive steps of one trace.
struct PlannedSteps {
  std::uint64_t trace = 0;
  int first = 0;
  std::vector<std::uint64_t> steps;  ///< their digests
};

/// What a placement was planned on, so that it is not judged on the same.
struct PlanningRecord {
  std::vector<PlannedSteps> parts;  ///< none: no loads were looked at, as by `linear`
  bool complete = true;             ///< false: it began as a placement of which nobody knows
};

/// Steps [first, first + count) of a trace, as what is planned on.
[[nodiscard]] PlannedSteps planned_steps(const TraceDigests& trace, int first, int count);

/// How many of the steps [first, first + count) of `trace` were planned on: by their place in the
/// same trace, else by their digests. Loads that a trace has more than once tell no step.
[[nodiscard]] int count_planned(const PlanningRecord& record, const TraceDigests& trace, int first,
                                int count);

}  // namespace gembench::inline loads
