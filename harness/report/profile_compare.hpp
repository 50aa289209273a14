#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "placement/speeds/profile_verdict.hpp"
#include "placement/strategies/replan.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline report {

/// Whether the current placement should be rebalanced for the new speeds.
struct ReplanVerdict {
  double before = 0;  ///< s per step of the current placement, predicted by the new profile
  double after = 0;   ///< the same after the best swaps
  double cost = 0;    ///< s that their moves take; 0 = unknown
  int moves = 0;      ///< experts, all layers
  bool pays = false;  ///< the moves pay within the horizon and save more than kLeastSaved
};
inline constexpr double kLeastSaved = 0.01;

/// A profile against an older one.
struct ProfileComparison {
  std::string old_file;
  ProfileDrift drift;
  std::vector<std::string> other_machine;  ///< sentences: places and devices that differ
  std::optional<ReplanVerdict> replan;     ///< with --placement
};

/// The input of a replan: the current placement and the loads.
struct ReplanQuestion {
  Placement placement;
  Trace loads;
  ReplanOptions how;
};
/// Reads --placement and --trace for the ranks and model of `now`. Usage error if they do not
/// match.
[[nodiscard]] ReplanQuestion read_replan_question(const ProfileCommand& options,
                                                  const Profile& now);

/// --compare, with --placement and --trace. `old`: what --compare names. Usage errors as
/// drift_between and replan; for a placement of other ranks.
[[nodiscard]] ProfileComparison compare_profiles(const ProfileCommand& options,
                                                 const ProfileFile& old, const ProfileFile& now);

/// One sentence for each finding: in the profile (slow and fail-slow ranks, or none) and in the
/// comparison if there is one (ranks that drifted, or none; whether a replan pays).
[[nodiscard]] std::vector<std::string> findings(const ProfileFile& now,
                                                const std::optional<ProfileComparison>& comparison);

}  // namespace gembench::inline report
