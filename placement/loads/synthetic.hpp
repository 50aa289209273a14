#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "placement/loads/synthetic_spec.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// A generator's parameter by its name, e.g. {"duty", 0.17}.
struct SyntheticParameter {
  std::string name;
  double value = 0;
};

/// A row of the table of presets.
struct SyntheticPreset {
  std::string_view name;
  std::string_view summary;  ///< a line for people
  /// Fills a trace, which is sized and zero, with `set` put into the defaults (unless `trace` is
  /// null), and returns all parameters. For make_trace and synthetic_parameters, which check the
  /// spec.
  std::vector<SyntheticParameter> (*generate)(Trace* trace, const SyntheticSpec& spec,
                                              std::span<const SyntheticParameter> set,
                                              std::string_view name);
  bool needs_ranks = false;  ///< SyntheticSpec::ranks
};

/// The presets, in the order in which a list shows them.
[[nodiscard]] std::span<const SyntheticPreset> synthetic_presets();

/// Names and values of a preset's parameters for traces of this shape; every one of them can be
/// set in make_trace. Usage error for an unknown preset or an impossible spec.
[[nodiscard]] std::vector<SyntheticParameter> synthetic_parameters(std::string_view preset,
                                                                   const SyntheticSpec& spec);

/// Synthetic expert loads. Presets:
///  `serving`  lognormal popularity, 15-25 % temporal experts in groups of 2-4 that switch on and
///             off together (duty 0.17, x3 when on), the others active in 85 % of the steps; who is
///             off gets no tokens; after the figures second-hand from GEM (arXiv:2605.19945). The
///             generator itself is ours.
///  `bursty`   strongly skewed prefill, all of it ours: Zipf popularity with a few experts hot in
///             every task, groups of experts with bursts of x3, tasks that change popularity and
///             bursts of all layers at once (labelled in Trace::task), slow drift, and the noise of
///             tokens that come in correlated runs.
///  `power-law`  loads from a power law of exponent alpha, as AIConfigurator makes them
///             (synthetic_power_law.hpp).
///  `even` the same count for every expert, up to one token; for tests and calibration.
///  `w0-balanced` to `w7-burst`  the workloads of Megatron-LM's proposed token-imbalance benchmark
///             (synthetic_imbalance.hpp); their numbers are ours.
/// Counts only (no ids), at most one per token and expert, sum = tokens * topk in every layer.
/// `source` of the trace names preset, shape, seed and every parameter with its value.
/// A pure function of its arguments, identical on every machine; more steps continue a shorter
/// trace. Throws a usage error for an unknown preset, an impossible spec (top-k > experts, ...), an
/// unknown parameter or one out of its range.
[[nodiscard]] Trace make_trace(std::string_view preset, const SyntheticSpec& spec,
                               std::span<const SyntheticParameter> set = {});

}  // namespace gembench::inline loads
