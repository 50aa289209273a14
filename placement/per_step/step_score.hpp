#pragma once

#include "placement/cost/score.hpp"
#include "placement/per_step/step_system.hpp"

namespace gembench::inline per_step {

/// A placement's score under a per-step system, and the weights that it moves.
struct StepScore {
  Score score;              ///< without the time that moving weights takes
  double fetched = 0;       ///< experts that ranks receive in a step: all layers, mean over steps
  double most_fetched = 0;  ///< the same of the rank that receives most in a layer, summed over
                            ///< layers: what the others wait for
};

/// Plans every step and layer of the trace and judges it by `input.cost`. Usage errors as score().
[[nodiscard]] StepScore score_per_step(const Trace& trace, const StepSystem& system,
                                       const StepInput& input, const Placement* from = nullptr);

}  // namespace gembench::inline per_step
