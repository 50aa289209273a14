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

/// The placements to measure side by side; the same on every rank.
struct Candidates {
  std::vector<Placement> placements;             ///< as they begin
  SplitSpec split = {};                          ///< of experts with replicas
  std::vector<AdaptivePlacement> adaptive = {};  ///< [placement]; empty: none changes
  const Profile* profile = nullptr;              ///< used for planning; adapting needs it on rank 0
};

/// Segments that an earlier, unfinished run has measured; the same on every rank.
struct FinishedSegments {
  std::vector<std::int32_t> done;                   ///< [segment] 0 or 1; empty: none
  std::vector<SegmentNotes> notes;                  ///< [segment]
  std::vector<std::vector<double>> step_time = {};  ///< [segment][step * ranks], on rank 0
};

/// Where rank 0 stores measurements.
struct RunSink {
  std::function<void(const SegmentRecord&)> segment;  ///< a segment's readings and notes
  /// The result of the check for a segment stored before.
  std::function<void(int segment, const SegmentNotes&)> check = [](int, const SegmentNotes&) {};
  /// The place where they are stored and the command that continues: "a.h5.partial; continue with:
  /// ...".
  std::string kept_in = {};
  /// How the soak went, before the first segment.
  std::function<void(const SoakRecord&)> soaked = [](const SoakRecord&) {};
};

/// Collective: runs the unfinished segments of the schedule, until the last one or until the
/// options' stop rule ends it after a block. Returns the final results: complete on rank 0, the
/// verdict of the check on all ranks. Throws on all ranks when asked to stop (see stop.hpp).
[[nodiscard]] RunEnd measure(Session& session, const Candidates& candidates,
                             const std::vector<Segment>& schedule, const FinishedSegments& finished,
                             const RunSink& sink);

}  // namespace gembench::inline run
