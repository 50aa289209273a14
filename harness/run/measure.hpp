#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/run/changing_placement.hpp"
#include "harness/run/segments.hpp"
#include "harness/run/session.hpp"
#include "moe_layer/check.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// What is measured side by side; the same on every rank.
struct Candidates {
  std::vector<Placement> placements;             ///< as they begin
  SplitSpec split = {};                          ///< of experts with replicas
  std::vector<AdaptivePlacement> adaptive = {};  ///< [placement]; empty: none changes
  const Profile* profile = nullptr;  ///< what was planned with; adapting needs it on rank 0
};

/// Segments that an earlier, unfinished run has measured; the same on every rank.
struct FinishedSegments {
  std::vector<std::int32_t> done;                   ///< [segment] 0 or 1; empty: none
  std::vector<SegmentNotes> notes;                  ///< [segment]
  std::vector<std::vector<double>> step_time = {};  ///< [segment][step * ranks], on rank 0
};

/// Where rank 0 keeps what is measured.
struct RunSink {
  std::function<void(const SegmentRecord&)> segment;  ///< a segment's readings and notes
  /// What the check found of a segment that was kept before.
  std::function<void(int segment, const SegmentNotes&)> check = [](int, const SegmentNotes&) {};
  /// Where it keeps that, and what goes on with it: "a.h5.partial; continue with: ...".
  std::string kept_in = {};
};

/// Collective: runs the segments of the schedule that are not finished, to the last or until the
/// options' stop rule ends it after a block. Returns what is known at the end: complete on rank 0,
/// the verdict of the check on all. Throws on all ranks when asked to stop (see stop.hpp).
[[nodiscard]] RunEnd measure(Session& session, const Candidates& candidates,
                             const std::vector<Segment>& schedule, const FinishedSegments& finished,
                             const RunSink& sink);

}  // namespace gembench::inline run
