#pragma once

#include <span>
#include <string>
#include <vector>

#include "placement/speeds/profile.hpp"
#include "placement/speeds/profile_verdict.hpp"

namespace gembench::inline speeds {

/// [rank] logarithm of how much slower a rank is than the ranks' geometric mean: mean over the load
/// points above 0 at which every rank takes time; all 0 where there is none. Overhead is left out.
/// Validates the profile.
[[nodiscard]] std::vector<double> log_slowdowns(const Profile& profile);

/// An earlier profile of the same ranks.
struct OlderProfile {
  const Profile& profile;
  std::vector<int> rank_then;  ///< [rank now] its rank in `profile`
};

/// [rank now] the rank that had the same GPU then, where both name one GPU ("GPU-...") per rank;
/// else the same rank: other devices have no name that lasts. Usage error for a GPU that was not
/// there, or another number of ranks.
[[nodiscard]] std::vector<int> same_ranks(const std::vector<std::string>& then,
                                          const std::vector<std::string>& now, int ranks);

/// How much of what a profile says of its ranks' speeds lasts.
struct Reliability {
  double rho = 1;      ///< share of the variance of log slowdowns that lasts: 0 .. 1
  int profiles = 1;    ///< that it rests on
  double passing = 0;  ///< variance of one profile's log slowdown about the lasting one
};

/// One-way random effects (intraclass correlation, consistency of one measurement: Shrout and
/// Fleiss 1979). A profile's log slowdown of a rank is a lasting part, of variance b between ranks,
/// plus a passing one, of variance w: rho = b / (b + w). What all ranks share is left out.
///
/// With k profiles of n ranks, w is the mean square within ranks, between profiles, and never below
/// the noise of the new one's rounds. With one, w is only that noise (scatter between blocks of
/// consecutive rounds, so that slow disturbances count), and a speed that differs from day to day
/// looks reliable. b = (mean square between ranks - w) / k, at least 0. Compared are the new
/// profile's load points that all profiles cover.
///
/// Limits: w rests on (n - 1)(k - 1) degrees of freedom and b on n - 1, so rho of few ranks and 2
/// profiles is rough, and where nothing lasts it is above 0 by chance (0.2 on average for 8 ranks);
/// every rank counts as equally noisy; the profile that is shrunk stays the new one, not a mean of
/// all. rho is 1 for one rank, and where nothing says what passes: fewer than 6 rounds, and no
/// older profile.
///
/// Usage error for samples that are not this profile's, and older profiles that are not comparable
/// (require_comparable), had other emulated slowdowns, or have no load in common.
[[nodiscard]] Reliability reliability(const Profiled& now, std::span<const OlderProfile> older);

/// A profile whose ranks differ less, and by how much the rank that changed most was stretched.
struct Shrunk {
  Profile profile;
  double largest = 0;  ///< share: 0.03 = 3 % longer or shorter
};

/// Stretches every rank (see stretch: overhead stays) so that its log slowdown becomes rho times as
/// large: 1 changes nothing, and with 0 no rank is slower than another on average. Curves keep
/// their shape, and the ranks' geometric mean its time. Usage error for a rho outside of 0 .. 1.
[[nodiscard]] Shrunk shrink(Profile profile, double rho);

}  // namespace gembench::inline speeds
