#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/cost/score.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline strategies {

/// Replanning while serving, as a policy. Ours.
struct ReplanPolicy {
  int every = 1;  ///< judged steps between two replannings
  /// s until a rank has received one expert's weights. Ranks of a layer receive theirs at the same
  /// time, layers follow one another, and nothing else runs meanwhile.
  double move_seconds = 0;
  SplitSpec split = {};  ///< how replicas share tokens
};

/// Successive judged steps under one placement.
struct PolicyPart {
  int first = 0;  ///< judged step
  Placement placement;
  std::int64_t moves = 0;  ///< experts that ranks received before these steps, over all layers
  double seconds = 0;      ///< s that took
};

/// A placement for the steps `seen`, given the one in use.
using Replanner = std::function<Placement(const Trace& seen, const Placement& now)>;

/// Judged steps served with `first`, which was made for `planned`, and with what `again` makes
/// every so many of them on the latest steps seen: as many as were planned on at first, so that no
/// plan rests on fewer (on all steps so far plans follow a shift more slowly). A layer takes its
/// new plan only if that saves more time until the next replanning than its moves take; else it
/// stays. The saving is judged by a second plan, made on every other of these steps, on the
/// steps between, which it did not see. The parts in order; replannings that change nothing begin
/// none. Usage error unless 1 <= every <= judged steps and there are 2 planned ones, for plans of
/// other slots per rank, and as predicted_layer_seconds.
[[nodiscard]] std::vector<PolicyPart> follow(const ReplanPolicy& policy, const Trace& planned,
                                             const Trace& judged, const CostModel& cost,
                                             const Placement& first, const Replanner& again);

/// The score of judged steps under the placements of `parts`, without the time that moves take.
/// Copies and moves are those of the first one.
[[nodiscard]] Score score(const Trace& judged, const std::vector<PolicyPart>& parts,
                          const CostModel& cost, const Placement* from = nullptr,
                          const SplitSpec& split = {});

}  // namespace gembench::inline strategies
