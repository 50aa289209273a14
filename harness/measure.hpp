#pragma once

#include <functional>
#include <vector>

#include "harness/live_placement.hpp"
#include "harness/options.hpp"
#include "harness/session.hpp"
#include "harness/turns.hpp"
#include "moe_layer/check.hpp"
#include "results/run_file.hpp"

namespace gembench {

/// What is measured side by side; the same on every rank.
struct Candidates {
  std::vector<Placement> placements;     ///< as they begin
  SplitSpec split = {};                  ///< of experts with replicas
  std::vector<LivePlacement> live = {};  ///< [placement]; empty: none changes
  const Profile* profile = nullptr;      ///< what was planned with; adapting needs it on rank 0
};

/// Turns that an earlier, unfinished run has measured; the same on every rank.
struct FinishedTurns {
  std::vector<std::int32_t> done;  ///< [turn] 0 or 1; empty: none
  std::vector<TurnNotes> notes;    ///< [turn]
};

/// Collective: runs the turns of the schedule that are not finished. After each, rank 0 is given
/// the gathered block (`keep`, for writing). Returns what is known at the end: complete on rank 0,
/// the verdict of the check on all. Throws on all ranks when asked to stop (see stop.hpp).
[[nodiscard]] RunEnd measure(Session& session, const Candidates& candidates,
                             const std::vector<Turn>& schedule, const FinishedTurns& finished,
                             const std::function<void(const Block&)>& keep);

}  // namespace gembench
