#pragma once

#include <string>
#include <vector>

#include "harness/live_placement.hpp"
#include "harness/session.hpp"

/// What a run does before its first step: the profile and the placements that it measures.
namespace gembench {

/// Rank 0 says on standard error what goes on, unless --quiet.
void say(const Session& session, const std::string& text);

/// What is planned with, and the readings behind it where they are known.
struct PlanProfile {
  Profile profile;
  ProfileSamples samples;
};
/// Collective: the profile to plan with, on rank 0: read, or measured now. Usage error when one
/// that is read has other ranks or another clock.
[[nodiscard]] PlanProfile obtain_profile(Session& session);
/// Collective: all placements, planned on rank 0, where they are returned.
[[nodiscard]] std::vector<Placement> plan_all(const Session& session, const Profile& profile);
/// Collective: how each placement may change. An oracle plans anew for what every drift brings.
[[nodiscard]] std::vector<LivePlacement> plan_live(const Session& session, const Profile& profile);
/// Collective: rank 0's placements on every rank.
void share(const Session& session, std::vector<Placement>& placements);

}  // namespace gembench
