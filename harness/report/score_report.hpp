#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/run/learning_curve.hpp"
#include "harness/run/planning_speeds.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/cost/node_traffic.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline report {

/// What was found, for a reader who reads one line of it.
struct ScoreVerdict {
  std::string fastest;   ///< the placement predicted to take least time; empty: nothing to compare
  std::string sentence;  ///< without a full stop
};

/// What judged placements have in common.
struct ScoreContext {
  std::string profile;  ///< source of the speeds, with the clock if they were measured
  std::string trace;
  std::string judged_on;  ///< another trace; empty: `trace`
  int ranks = 0;
  int planned_steps = 0;
  int judged_steps = 0;
  bool held_out = false;               ///< judged on later steps than the planning steps
  std::optional<Shrinkage> shrinkage;  ///< of the speeds that were planned on
  std::vector<double> slowdown;        ///< [rank] on top of the profile
  std::vector<std::string> notes;      ///< sentences for the header
  int draws = 0;                       ///< that the intervals rest on; 0: no intervals
  bool drawn_speeds = false;           ///< speeds are a draw, or one for each of `draws`
  std::optional<ScoreVerdict> verdict = {};
  /// What the plan rests on; none: not of interest.
  struct Basis {
    std::int64_t requests = 0;  ///< independent, the recording's in proportion; 0: not known
    std::size_t tasks = 0;      ///< of the planned steps; 0: not known
  };
  std::optional<Basis> basis = {};
  std::optional<LearningCurve> learning = {};
};

/// What rebalancing adds to a step, mean.
struct StepCharge {
  double fetched = 0;  ///< experts that ranks receive
  double bytes = 0;    ///< of these
  double seconds = 0;  ///< until the rank that receives most has them, and for planning
  std::vector<double> by_step = {};  ///< [judged step] s; empty: `seconds` in every step
};

/// What replanning did while the judged steps were served.
struct Replanned {
  int replannings = 0, changes = 0;  ///< made; that moved anything
  std::int64_t moves = 0;            ///< experts that ranks received
  double bytes = 0;                  ///< of these
  double seconds = 0;                ///< s they took
};

/// The difference to the first placement over draws.
struct DrawnChange {
  Difference change;
  double worst = 0;  ///< share, of the draw in which it is largest
};

struct JudgedPlacement {
  std::string name;
  double plan_seconds = 0;  ///< wall clock of planning; 0 = read from a file
  Score score;
  std::optional<NodeTraffic> nodes = {};  ///< of a step, expected; none: no nodes named
  std::optional<int> in_sample = {};      ///< judged steps that it was planned on; none: unknown
  std::optional<StepCharge> charge = {};  ///< none: nothing is rebalanced in any row
  std::optional<Replanned> replanned = {};
  std::optional<DrawnChange> drawn = {};  ///< none: no draws, or the first placement
  bool forecast = true;  ///< could be deployed and knew no judged step: the verdict may name it

  /// s of a step, with what rebalancing adds.
  [[nodiscard]] double charged_mean() const {
    return score.step_mean + (charge ? charge->seconds : 0);
  }
};

/// Step time of a row against the first one's, a share; NaN: nothing to compare.
[[nodiscard]] double change_against(const JudgedPlacement& first, const JudgedPlacement& row);

/// In the format of the options: table, csv or json. Seconds in the latter two.
[[nodiscard]] std::string score_report(const ScoreContext& context,
                                       const std::vector<JudgedPlacement>& rows,
                                       const std::string& format);

}  // namespace gembench::inline report
