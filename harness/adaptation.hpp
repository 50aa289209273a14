#pragma once

#include <optional>
#include <vector>

#include "harness/speed_watch.hpp"
#include "placement/placement.hpp"
#include "placement/profile.hpp"
#include "placement/token_split.hpp"
#include "placement/trace.hpp"
#include "results/run_file.hpp"

namespace gembench {

/// Tells from the loads of a run whether the task has changed: whether the placement's predicted
/// time of a step has risen above what it was on the steps it was planned on. All of it ours.
class LoadWatch {
 public:
  /// Predicted seconds of the steps that were planned on.
  explicit LoadWatch(const std::vector<double>& planned, int turn_steps);
  /// Mean predicted seconds of a turn's steps. True when they exceed the planned ones by more than
  /// kLeast and by more than kNoise times what turns differ by, in two turns one after the other.
  [[nodiscard]] bool observe(double turn);
  [[nodiscard]] bool suspicious() const { return suspicious_ > 0; }

  static constexpr double kLeast = 0.03;
  static constexpr double kNoise = 3;

 private:
  double limit_ = 0;
  int suspicious_ = 0;
};

struct AdaptationOptions {
  CostKind cost = CostKind::tokens;
  int profile_slots = 1;  ///< experts a rank's profile was spread over
  SplitRule split = SplitRule::even;
  int turn_steps = 8;
  int max_moves = 16;   ///< experts of a layer, in one replan
  int horizon = 1000;   ///< steps in which a replan must pay for its moves
  int window = 1024;    ///< steps that are planned on at most
};

/// Rank 0's part of live adaptation, for one placement: watches what ranks and experts do, turn by
/// turn, and says when a few moves would pay. Knows nothing of a run but what was measured so far.
class Adaptation {
 public:
  Adaptation(const Placement& start, const Profile& profile, const Trace& plan,
             const AdaptationOptions& options);

  /// The readings of a turn under placement(), whose steps are in `measured`. The change to make
  /// before the next one, if any; from then on placement() is the new one.
  [[nodiscard]] std::optional<Replan> observe(const Block& block, const RunShape& shape,
                                              const Trace& measured);
  [[nodiscard]] const Placement& placement() const { return placement_; }

 private:
  [[nodiscard]] CostModel cost() const;
  [[nodiscard]] std::vector<double> predicted_steps(const Trace& trace) const;
  void remember(const Trace& steps);

  AdaptationOptions options_;
  Placement placement_;
  Profile profile_;  // as it is now
  SpeedWatch speeds_;
  Trace window_;
  LoadWatch loads_;
  int since_task_ = -1;    // steps seen since the task changed; -1: it has not
  int next_look_ = 0;      // how many of those the next plan waits for
  double move_seconds_ = 0;  // of one expert's weights, as measured at switches
};

}  // namespace gembench
