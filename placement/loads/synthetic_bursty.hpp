#pragma once

#include "placement/loads/synthetic_spec.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

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
/// Fills `trace.tokens`, which is sized and zero, and `trace.task`.
void fill_bursty(Trace& trace, const SyntheticSpec& spec, const BurstyParameters& parameters);

}  // namespace gembench::inline loads
