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
/// Collective: the profile to plan with, on rank 0: read, or measured now. Usage error when one
/// that is read has other ranks, another clock, model or number of experts a rank.
[[nodiscard]] PlanProfile obtain_profile(Session& session);
/// Usage error where a profile that was read is not one of these ranks, or of this clock.
void require_own_profile(const SessionOptions& options, const Profile& profile, int ranks,
                         const std::string& clock);

/// What a run plans its placements on: the same with its ranks and, looking ahead, without them.
struct PlanOn {
  const SessionOptions& options;
  const Layout& layout;
  const Trace& loads;         ///< the steps that are planned on
  CostKind cost;              ///< what predicts a rank's time
  std::size_t row_bytes = 0;  ///< of a token on its way to another rank
};
/// What one of --placements begins with, as wide as the run's. Usage error for what cannot run.
[[nodiscard]] Placement plan_first(const PlanOn& on, const Profile& profile,
                                   const std::string& name);
/// What an oracle replans for what every drift brings; empty for any other name.
[[nodiscard]] std::vector<std::pair<int, Placement>> plan_later(const PlanOn& on,
                                                                const Profile& profile,
                                                                const std::string& name);

/// Collective: all placements, planned on rank 0, where they are returned.
[[nodiscard]] std::vector<Placement> plan_all(const Session& session, const Profile& profile);
/// Collective: how each placement may change. An oracle replans for what every drift brings.
[[nodiscard]] std::vector<AdaptivePlacement> plan_adaptive(const Session& session,
                                                           const Profile& profile);
}  // namespace gembench::inline run
