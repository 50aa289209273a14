#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "harness/report/score_report.hpp"
#include "harness/run/workload.hpp"
#include "placement/exchange/placement_file.hpp"
#include "placement/loads/planned_steps.hpp"
#include "placement/strategies/slot_count.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline commands {

/// What planners and judges know of the ranks' times: one cost model on two profiles.
struct Costs {
  Costs(const ProblemOptions& options, const Profile& judged, const Profile& planned_on, int slots);

  CostModel judging, planning;
  TokenRule judging_rule, planning_rule;
};

struct PlannedPlacement {
  Placement placement;
  double seconds = 0;  ///< wall clock of planning
};

/// What `plan`, `score` and `sensitivity` work on.
struct Problem {
  Trace plan;
  Trace judged;      ///< the later steps, or all
  Profile profile;   ///< that judges
  Profile planning;  ///< that is planned on: the same, or shrunk by its reliability
  SlotCount asked;
  std::optional<PlacementFile> from;
  TraceDigests digests;         ///< of the whole trace that is planned on
  TraceDigests judged_digests;  ///< of the one that is judged on, the same or --judge
  ScoreContext context;
  NodeNetwork network;
  Profile unslowed,
      unslowed_planning;             ///< `profile` and `planning` without --slowdown and the like
  std::vector<double> speed_errors;  ///< [rank] see run/speed_errors.hpp

  /// Slows ranks down as the options say, drawn with this seed where they are drawn.
  void draw_speeds(const ProblemOptions& options, std::uint64_t seed);
  [[nodiscard]] PlanInput input(const ProblemOptions& options, const Costs& costs) const;
  [[nodiscard]] JudgedPlacement judge(const std::string& name, double plan_seconds,
                                      const Placement& placement, const Costs& costs) const;
  /// Plans with a strategy, aloud; may be stopped.
  [[nodiscard]] PlannedPlacement place(const std::string& strategy, const ProblemOptions& options,
                                       const Costs& costs) const;
  /// Plans and judges.
  [[nodiscard]] JudgedPlacement plan_and_judge(const std::string& strategy,
                                               const ProblemOptions& options,
                                               const Costs& costs) const;
  /// The file that a strategy's name begins from.
  [[nodiscard]] std::optional<PlacementFile> file_of(const std::string& name) const;
  /// Index of the first judged step in its trace.
  [[nodiscard]] int first_judged() const {
    return context.held_out && context.judged_on.empty() ? plan.steps : 0;
  }
  [[nodiscard]] Costs costs(const ProblemOptions& options) const {
    return {options, profile, planning, asked.even};
  }
  /// Of a placement that begins as this file, or was planned here from nothing.
  [[nodiscard]] PlanningRecord record(const PlacementFile* begun_from, bool planned_here) const;
  /// Which of the judged steps the row's placement was planned on; of a file `notes` say it too.
  void say_origin(const std::string& path, const PlanningRecord& known, JudgedPlacement& row,
                  std::vector<std::string>& notes) const;
};

/// `command` needs it, on the loads `whole`; `read`: placements that are planned or judged, as
/// strategies.
[[nodiscard]] Problem make_problem(const char* command, const ProblemOptions& options,
                                   const Trace& whole, std::vector<std::string> read);
/// The same on the loads of --trace.
[[nodiscard]] Problem load_problem(const char* command, const ProblemOptions& options,
                                   std::vector<std::string> read);

}  // namespace gembench::inline commands
