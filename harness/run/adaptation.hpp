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

/// Tells from the loads of a run whether its task has changed: whether the placement's predicted
/// time of a step has risen above what it was on the steps it was planned on, or on the first ones
/// after them if that is more, since a plan is at its best on its own steps. All of it ours.
class LoadWatch {
 public:
  LoadWatch() = default;
  /// `planned`: predicted seconds of every step that was planned on.
  LoadWatch(const std::vector<double>& planned, int segment_steps);
  /// Mean predicted seconds of a segment's steps. True when they exceed the planned ones by more
  /// than kLeast and by more than kNoise times what segments differ by, in two segments one after
  /// the other.
  [[nodiscard]] bool observe(double segment);
  /// From now on this many seconds a step are expected; segments differ by as much as before.
  void expect(double mean);

  static constexpr int kBaseline = 2;
  static constexpr double kLeast = 0.03;
  static constexpr double kNoise = 3;

 private:
  double tolerance_ = 0;  // share of the expected; 0: too few steps to say anything
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
  ReplanOptions replan = {};  ///< but for what is measured: what a move takes
};

/// A placement that changes, and why.
struct Change {
  ReplanRecord::Reason reason = ReplanRecord::Reason::none;
  double predicted_gain = 0;    ///< s a step
  double planning_seconds = 0;  ///< wall clock
};

/// Rank 0's part of live adaptation, for one placement: watches what ranks and experts do, segment
/// by segment, and says when a few moves would pay. It knows nothing but the profile, the steps
/// that were planned on, and what was measured so far.
///
/// Changed speeds (SpeedWatch) are put into the profile and planned for on the loads seen so far.
/// Changed loads (LoadWatch) make the steps before worthless: what is planned on begins at the
/// change, and is planned on again whenever it has doubled, since few steps say little.
class Adaptation {
 public:
  Adaptation(Placement start, const Profile& profile, const Trace& plan,
             const AdaptationOptions& options);

  /// The readings of a segment under placement(); `measured` holds its steps. What to change before
  /// the next segment, if anything: placement() is then the new one.
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
  int since_change_ = -1;    // segments since the loads changed; -1: they have not
  int next_look_ = 0;        // of these segments, when to plan again
  double move_seconds_ = 0;  // of one expert, as measured at switches
};

}  // namespace gembench::inline run
