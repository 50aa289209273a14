#pragma once

#include "placement/loads/synthetic_spec.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// `power-law`, as NVIDIA's AIConfigurator makes the loads of its MoE measurements
/// (https://github.com/ai-dynamo/aiconfigurator, collector/helper.py and its notes on power laws,
/// read in November 2026): an expert's load x is drawn from the density f(x) ~ x^-alpha on
/// [low, high], independently of the others, by inversion of a uniform u,
///   x = (low^(1-alpha) + u (high^(1-alpha) - low^(1-alpha)))^(1/(1-alpha)),
/// low (high/low)^u for alpha = 1; low = 1 and high = 0.8 tokens, or 0.01 and 2 where a step has no
/// more choices (tokens * top-k) than there are experts. Loads are then scaled to the step's
/// choices with at most `tokens` for each. alpha = 0 means equal loads there, and here.
///
/// It assumes 1.01 for DeepSeek-V3 and 1.2 for Qwen3-235B (by matching latencies), and 0.6 for
/// prefill under EPLB. Here alpha is measured too (power_law_fit.hpp).
///
/// Ours: loads x are drawn once for every layer and hold in all steps, whose counts are draws from
/// them; what exceeds one token goes to the others in proportion. AIConfigurator makes one step,
/// and exchanges ranks so that rank 0 is the fullest.
struct PowerLawParameters {
  double alpha = 1.2;  ///< 0 to 3
};
/// Fills `trace.tokens`, which is sized and zero.
void fill_power_law(Trace& trace, const SyntheticSpec& spec, const PowerLawParameters& parameters);

}  // namespace gembench::inline loads
