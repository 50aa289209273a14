#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/speed_watch.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"
#include "placement/strategies/replan.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Detects from the loads of a run whether its task has changed: whether the placement's predicted
/// time per step has risen above its time on the planning steps, or on the first steps after them
/// if that is longer, since a plan is best on its own steps. All of it is ours.
class LoadWatch {
 public:
  LoadWatch() = default;
  /// `planned`: predicted seconds of every planning step.
  LoadWatch(const std::vector<double>& planned, int segment_steps);
  /// Mean predicted seconds of a segment's steps. True when they exceed the planned ones by more
  /// than kLeast and by more than kNoise times what segments differ by, in two successive segments.
  [[nodiscard]] bool observe(double segment);
  /// Sets the expected seconds per step from now on; the variation between segments stays.
  void expect(double mean);

  static constexpr int kBaseline = 2;
  static constexpr double kLeast = 0.03;
  static constexpr double kNoise = 3;

 private:
  double tolerance_ = 0;  // share of the expected time; 0: too few steps for a decision
  double expected_ = 0;
  double first_segments_ = 0;  // their sum, until kBaseline of them are seen
  int seen_ = 0;
  int suspicious_ = 0;
};

struct AdaptationOptions {
  CostKind cost = CostKind::sum;
  int profile_slots = 1;  ///< experts a rank's profile was spread over
  std::string token_split = "even";
  int segment_steps = 8;
  ReplanOptions replan = {};  ///< except the cost of a move, which is measured
};

/// A placement that changes, and why.
struct Change {
  ReplanRecord::Reason reason = ReplanRecord::Reason::none;
  double predicted_gain = 0;    ///< s a step
  double planning_seconds = 0;  ///< wall clock
};

/// Rank 0's part of live adaptation, for one placement: watches ranks and experts, segment by
/// segment, and says when a few moves would pay. It knows only the profile, the planning steps and
/// what was measured so far.
///
/// Changed speeds (SpeedWatch) are put into the profile, and the placement is replanned on the
/// loads seen so far. Changed loads (LoadWatch) make earlier steps useless: the planning steps then
/// begin at the change, and it is replanned whenever their number has doubled, since few steps say
/// little.
class Adaptation {
 public:
  Adaptation(Placement start, const Profile& profile, const Trace& plan,
             const AdaptationOptions& options);

  /// Takes the readings of a segment under placement(); `measured` holds its steps. Returns the
  /// change to make before the next segment, if any; placement() is then the new placement.
  [[nodiscard]] std::optional<Change> observe(const SegmentRecord& block, const RunShape& shape,
                                              const Trace& measured);
  [[nodiscard]] const Placement& placement() const { return placement_; }

 private:
  [[nodiscard]] CostModel cost() const;
  [[nodiscard]] std::vector<double> predicted_steps(const Trace& trace) const;
  [[nodiscard]] bool time_to_look_again();
  [[nodiscard]] std::optional<Change> replan_now(ReplanRecord::Reason reason);

  AdaptationOptions options_;
  Placement placement_;
  Profile profile_;  // as it is now
  SpeedWatch speeds_;
  Trace window_;  // the steps to plan on
  LoadWatch loads_;
  int since_change_ = -1;    // segments since the loads changed; -1: no change
  int next_look_ = 0;        // the number of these segments at which to replan
  double move_seconds_ = 0;  // of one expert, as measured at switches
};

}  // namespace gembench::inline run
