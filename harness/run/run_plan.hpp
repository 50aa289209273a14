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
/// Likewise which ways to compute experts' products the device found to be wrong, and leaves out.
void say_failed_products(const Session& session);

/// On rank 0, before a profile is measured: usage error for placements that no profile could make
/// possible (replicas, nodes and their link costs, sizes). For files see check_placement_files.
void require_plannable(const Session& session);
/// The profile for planning, and its readings if known.
struct PlanProfile {
  Profile profile;
  ProfileSamples samples;
};
/// Collective: the profile for planning, on rank 0: read, or measured now. Simulated ranks also
/// accept a builtin profile, and without any they are equally fast. Sets the session's
/// `profile_source`. Usage error if a file has another number of ranks, clock, model or number of
/// experts per rank.
[[nodiscard]] PlanProfile obtain_profile(Session& session);

struct PlannedPlacements {
  std::vector<Placement> placements;
  std::vector<double> seconds;  ///< planning time of each
};
/// Collective: the initial placement of each of --placements, with the run's number of slots;
/// planned on rank 0, where they are returned. Usage error for one that cannot run.
[[nodiscard]] PlannedPlacements plan_all(const Session& session, const Profile& profile);
/// Collective: how each placement may change. An oracle replans for every drift.
[[nodiscard]] std::vector<AdaptivePlacement> plan_adaptive(const Session& session,
                                                           const Profile& profile);
}  // namespace gembench::inline run
