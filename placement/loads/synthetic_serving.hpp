#pragma once

#include "placement/loads/synthetic_spec.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// `serving`. The first three are second-hand figures of GEM (arXiv:2605.19945), the rest is ours.
struct ServingParameters {
  double duty = 0.17;             ///< share of steps in which a temporal expert is used
  double burst = 3;               ///< its tokens when on, over what it would get as usual
  double consistent_duty = 0.85;  ///< share of steps in which any other expert is used
  double sigma = 0;               ///< of the lognormal popularity, by number of experts
  double temporal_low = 0.15;     ///< share of a layer's experts that are temporal: uniform
  double temporal_high = 0.25;    ///< between these two
  double group_low = 2;           ///< experts of a group: uniform between these two
  double group_high = 4;
  double mean_dwell = 6;  ///< steps a group stays on, geometric: "several steps"
};
[[nodiscard]] ServingParameters serving_defaults(const SyntheticSpec& spec);
/// Fills `trace.tokens`, which is sized and zero.
void fill_serving(Trace& trace, const SyntheticSpec& spec, const ServingParameters& parameters);

}  // namespace gembench::inline loads
