#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "harness/run/changing_placement.hpp"
#include "harness/run/session.hpp"

/// The work of a run before its first step: its profile and placements.
namespace gembench::inline run {

/// Rank 0 reports progress on standard error, unless --quiet.
void say(const Session& session, const std::string& text);

/// On rank 0, before a profile is measured: usage error for placements that no profile could make
/// possible (replicas, nodes and their link costs, sizes). For files see check_placement_files.
void require_plannable(const Session& session);
/// The profile for planning, and its readings if known.
struct PlanProfile {
  Profile profile;
  ProfileSamples samples;
};
/// Collective: the profile for planning, on rank 0: read, or measured now. Usage error if a file
/// has another number of ranks, clock, model or number of experts per rank.
[[nodiscard]] PlanProfile obtain_profile(Session& session);
/// Usage error if a profile file has other ranks or another clock.
void require_own_profile(const SessionOptions& options, const Profile& profile, int ranks,
                         const std::string& clock);

/// The input for planning a run's placements, the same for runs and for dry runs without ranks.
struct PlanOn {
  const SessionOptions& options;
  const Layout& layout;
  const Trace& loads;         ///< the steps that are planned on
  CostKind cost;              ///< what predicts a rank's time
  std::size_t row_bytes = 0;  ///< of a token on its way to another rank
};
/// The initial placement of one of --placements, with the run's number of slots. Usage error if it
/// cannot run.
[[nodiscard]] Placement plan_first(const PlanOn& on, const Profile& profile,
                                   const std::string& name);
/// An oracle's replanned placements for every drift; empty for any other name.
[[nodiscard]] std::vector<std::pair<int, Placement>> plan_later(const PlanOn& on,
                                                                const Profile& profile,
                                                                const std::string& name);

/// Collective: all placements, planned on rank 0, where they are returned.
[[nodiscard]] std::vector<Placement> plan_all(const Session& session, const Profile& profile);
/// Collective: how each placement may change. An oracle replans for every drift.
[[nodiscard]] std::vector<AdaptivePlacement> plan_adaptive(const Session& session,
                                                           const Profile& profile);
}  // namespace gembench::inline run
