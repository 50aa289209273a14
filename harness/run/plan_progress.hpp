#pragma once

#include <atomic>
#include <string>

#include "moe_layer/mpi/clock.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline run {

/// Says on standard error how far a planning is once it takes longer than two seconds, and ends it
/// when a signal or the time limit asks for that.
class PlanProgress {
 public:
  /// `what` is planned: a strategy's name. `kept` ends the sentence with which it is ended: what is
  /// safe.
  PlanProgress(std::string what, bool quiet, std::string kept);
  PlanProgress(const PlanProgress&) = delete;  // watches point here
  PlanProgress& operator=(const PlanProgress&) = delete;

  [[nodiscard]] PlanWatch watch() {
    return [this](const PlanStage& stage) { at(stage); };
  }
  /// Ends what ended too soon to be ended on the way.
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
