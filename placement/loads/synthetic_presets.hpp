#pragma once

#include <cstdint>
#include <vector>

#include "placement/base/random.hpp"
#include "placement/loads/synthetic.hpp"

namespace gembench::inline loads {

// Generators behind make_trace. Each fills `trace.tokens`, which is sized and zero.

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
void fill_serving(Trace& trace, const SyntheticSpec& spec, const ServingParameters& parameters);

/// `bursty`, all ours. Calibrated so that the time-mean load of the hottest expert is 3.9 times the
/// mean with 128 experts, top-8 and 8192 tokens, and 5.6 times with 256, top-8 and 16384; recorded
/// Qwen3-30B-A3B and DeepSeek-V3 runs have 5-8.
struct BurstyParameters {
  double zipf = 0;            ///< exponent: popularity of the i-th expert is i^-zipf; by experts
  double hot_share = 0.02;    ///< share of experts (at least one) that is hot in every task
  double hot_factor = 0.8;    ///< their popularity over that of Zipf, not changed by tasks
  double group_share = 0.25;  ///< share of experts in groups that burst together
  double group_low = 2;       ///< experts of a group: uniform between these two
  double group_high = 6;
  double duty = 0.17;         ///< share of steps in which a group bursts, mean over tasks
  double burst = 3;           ///< load when bursting over load when not
  double mean_burst = 12;     ///< steps, geometric
  double tasks = 4;           ///< workloads that alternate, for all layers at once
  double task_dwell = 80;     ///< steps, geometric
  double task_sigma = 0.5;    ///< lognormal change of an expert's popularity by task
  double task_rate = 0.8;     ///< a group's duty by task: uniform within 1 +- this
  double drift_sigma = 0.35;  ///< lognormal AR(1) drift of every expert, stationary
  double drift_rho = 0.9;     ///< its correlation from step to step
  double correlated = 16;  ///< tokens in a row that choose alike: noise as of tokens / correlated
};
[[nodiscard]] BurstyParameters bursty_defaults(const SyntheticSpec& spec);
/// Fills `trace.task` too.
void fill_bursty(Trace& trace, const SyntheticSpec& spec, const BurstyParameters& parameters);

/// Every expert its equal share, the remainder dealt round and round.
void fill_even(Trace& trace, const SyntheticSpec& spec);

/// Which experts of a layer switch together.
struct Groups {
  std::vector<int> of;  ///< [expert] -> group, -1 = none
  int count = 0;
};
/// A share of the experts between `share_low` and `share_high`, chosen at random and dealt into
/// groups of `low` (at least 2) to `high`. Nobody is left alone in a group.
[[nodiscard]] Groups draw_groups(Random& random, int experts, double share_low, double share_high,
                                 int low, int high);

}  // namespace gembench::inline loads
