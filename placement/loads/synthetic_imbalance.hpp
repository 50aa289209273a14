#pragma once

#include "placement/loads/synthetic_spec.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// The workloads W0 to W7 of the token-imbalance benchmark proposed for Megatron-LM
/// (https://github.com/NVIDIA/Megatron-LM/pull/7488), each of which isolates one variable. The
/// names and what they isolate are that proposal's. It publishes no numbers and we have not seen
/// its code: every number here, and the exact rule, is ours. Theirs route tokens; these are counts.
///
/// Counts are in exact proportion, up to a token, so that nothing varies but the one variable.
struct ImbalanceParameters {
  double heat = 4;           ///< tokens of a hot expert over those of any other
  double hot_share = 0.125;  ///< share of experts (at least one) that is hot: as of one rank in 8
  double dwell = 1;          ///< steps that a hot rank stays hot
  double period = 32;        ///< steps from one burst to the next
  double burst = 4;          ///< steps of a burst, the last ones of a period
  double ragged = 4;         ///< tokens of the largest source over those of the smallest
};

// Each fills `trace.tokens`, which is sized and zero. Those that speak of ranks need
// 1 <= spec.ranks <= spec.experts. The rank that is hot or idle is the same in all layers.

/// W1: experts at random, others in every layer, are hot in all steps.
void fill_hot_experts(Trace& trace, const SyntheticSpec& spec,
                      const ImbalanceParameters& parameters);
/// W2: all experts of one rank are hot.
void fill_hot_rank(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters& parameters);
/// W3: as many experts as in W2 are hot, dealt to the ranks.
void fill_spread_hot(Trace& trace, const SyntheticSpec& spec,
                     const ImbalanceParameters& parameters);
/// W4: even loads whose tokens come from ranks with batches of different size, between 1 and
/// `ragged` in equal steps. Fills `trace.sources` and `trace.source_tokens` too.
void fill_source_ragged(Trace& trace, const SyntheticSpec& spec,
                        const ImbalanceParameters& parameters);
/// W5: one rank's experts get no token, the others equal parts. Usage error where the others are
/// fewer than top-k.
void fill_zero_rank(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters& parameters);
/// W6: as W2, and after `dwell` steps the next rank is the hot one.
void fill_rotating_hotspot(Trace& trace, const SyntheticSpec& spec,
                           const ImbalanceParameters& parameters);
/// W7: even loads, but in bursts, each with hot experts of its own as in W1.
void fill_burst(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters& parameters);

}  // namespace gembench::inline loads
