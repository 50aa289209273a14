#pragma once

#include <atomic>
#include <string>

#include "moe_layer/mpi/clock.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline run {

/// Reports the progress of planning on standard error, in place on a terminal and else once it
/// takes longer than two seconds, and stops it on a signal or at the time limit.
class PlanProgress {
 public:
  /// `what`: the strategy's name. `kept`: the end of the sentence when planning is stopped, which
  /// says what is safe.
  PlanProgress(std::string what, bool quiet, std::string kept);
  PlanProgress(const PlanProgress&) = delete;  // watches point here
  PlanProgress& operator=(const PlanProgress&) = delete;
  ~PlanProgress();

  [[nodiscard]] PlanWatch watch() {
    return [this](const PlanStage& stage) { at(stage); };
  }
  /// Throws if planning was asked to stop but finished before it noticed.
  void finished() const;

 private:
  void at(const PlanStage& stage);

  std::string what_, kept_;
  bool quiet_;
  double begin_ = wall_seconds();
  std::atomic<double> next_;  // wall_seconds() of the next line
};

/// plan_by_name() with such a progress.
[[nodiscard]] Placement plan_aloud(const std::string& name, PlanInput input, bool quiet,
                                   const std::string& kept);

}  // namespace gembench::inline run
