#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "harness/run/changing_placement.hpp"
#include "harness/run/session.hpp"

/// What a run does before its first step: the profile and the placements that it measures.
namespace gembench::inline run {

/// Rank 0 says on standard error what goes on, unless --quiet.
void say(const Session& session, const std::string& text);

/// On rank 0, before a profile is measured: usage error for placements that could not be planned
/// with any (replicas, nodes and prices of their links, sizes). Files: check_placement_files.
void require_plannable(const Session& session);
/// What is planned with, and the readings behind it where they are known.
struct PlanProfile {
  Profile profile;
  ProfileSamples samples;
};
/// Collective: the profile to plan with, on rank 0: read, or measured now; of simulated ranks also
/// a builtin one, and without one they are equally fast. Sets the session's `profile_source`. Usage
/// error when one that is read has other ranks, another clock, model or number of experts a rank.
[[nodiscard]] PlanProfile obtain_profile(Session& session);

struct PlannedPlacements {
  std::vector<Placement> placements;
  std::vector<double> seconds;  ///< that planning each took
};
/// Collective: what every one of --placements begins with, as wide as the run's, planned on rank 0,
/// where they are returned. Usage error for what cannot run.
[[nodiscard]] PlannedPlacements plan_all(const Session& session, const Profile& profile);
/// Collective: how each placement may change. An oracle replans for what every drift brings.
[[nodiscard]] std::vector<AdaptivePlacement> plan_adaptive(const Session& session,
                                                           const Profile& profile);
}  // namespace gembench::inline run
