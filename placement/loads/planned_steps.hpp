#pragma once

#include <cstdint>
#include <vector>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// Digests that identify a trace and each of its steps: digests of the counts, which planners see.
/// The same loads have the same digests in any file and in a slice of the trace.
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

/// The steps that a placement was planned on, so that it is not judged on them.
struct PlanningRecord {
  std::vector<PlannedSteps> parts;  ///< none: no loads were used, as by `linear`
  bool complete =
      true;  ///< false: it was derived from a placement whose planning steps are unknown
};

/// Steps [first, first + count) of a trace as planning steps.
[[nodiscard]] PlannedSteps planned_steps(const TraceDigests& trace, int first, int count);

/// How many of the steps [first, first + count) of `trace` were planned on: by their position in
/// the same trace, else by their digests. Loads that occur more than once in a trace do not
/// identify a step.
[[nodiscard]] int count_planned(const PlanningRecord& record, const TraceDigests& trace, int first,
                                int count);

}  // namespace gembench::inline loads
