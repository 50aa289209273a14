#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/profile_history.hpp"
#include "harness/statistics/slowness.hpp"
#include "placement/base/error.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline report {

/// What a probe found: its ranks against each other, and each against its own past.
struct ProbeVerdict {
  struct Rank {
    Slowness others;          ///< unknown for a single rank
    Slowness past;            ///< unknown without enough earlier probes
    std::size_t earlier = 0;  ///< probes of this device, before this one
    [[nodiscard]] bool slow() const { return others.slow || past.slow; }
  };
  double limit = 0;  ///< share: who is certainly slower by half of it, possibly by all, is named
  std::size_t rounds = 0;  ///< in which all ranks were measured
  bool with_history = false;
  std::vector<Rank> ranks;
  std::vector<std::string> left_out;  ///< sentences: files that are not in the history, or differ
  /// The least slowdown that is found on any rank that was compared and is not slow; 0: all are;
  /// infinite: none is.
  double others_resolution = 0, past_resolution = 0;

  /// The least slowdown that is found on every rank by one of its comparisons; 0: all are slow;
  /// infinite: some rank was not compared.
  [[nodiscard]] double resolution() const;
  /// Failed: some rank is slow. Insufficient evidence: a slowdown of the limit may have been
  /// missed.
  [[nodiscard]] ExitCode code() const;
};

/// Judges a profile of one load, measured by all ranks in the same rounds. The false accusations of
/// all comparisons together stay within kFalseAccusation (see slowness.hpp for what is assumed).
[[nodiscard]] ProbeVerdict judge_probe(const ProfileFile& now,
                                       const std::optional<ProfileHistory>& history, double limit);

/// A sentence for every slow rank, then what was not found, and below what it cannot be told.
[[nodiscard]] std::vector<std::string> findings(const ProfileFile& now,
                                                const ProbeVerdict& verdict);

}  // namespace gembench::inline report
