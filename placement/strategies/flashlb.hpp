#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "placement/loads/trace.hpp"

namespace gembench::inline strategies {

// After FlashLB of vllm-ascend (https://github.com/vllm-project/vllm-ascend, vllm_ascend/eplb/core/
// policy), from its description, not from its code: risk of a load = mean + z * deviation over the
// steps; replicas by risk per replica; packing by the risk of all a rank holds, covariance
// included; then a search over how many replicas hot and cold experts get, judged step by step.
// Ignores speed. Ours: all planning steps instead of a window, the shape of the search, no
// thresholds, and an earlier placement is ignored.

/// Mean and covariance over steps of one layer's expert loads, in tokens and tokens squared.
struct LoadMoments {
  /// `pulse`, if set, is called now and then and may throw.
  LoadMoments(const Trace& trace, int layer, const std::function<void()>& pulse = {});
  [[nodiscard]] std::size_t experts() const { return mean.size(); }
  /// Population covariance of two experts; the variance for a == b.
  [[nodiscard]] double between(std::size_t a, std::size_t b) const {
    return covariance[a * experts() + b];
  }
  /// Mean + z * deviation of one expert's load.
  [[nodiscard]] double risk(std::size_t expert) const;

  std::vector<double> mean;        ///< [expert]
  std::vector<double> covariance;  ///< [expert][expert]
};

/// z of the upper quartile of a normal distribution, FlashLB's choice.
inline constexpr double kFlashRisk = 0.674;

/// Experts of every rank of one layer.
using RankMembers = std::vector<std::vector<std::int32_t>>;

/// Replicas by falling risk of their share, each to the rank with room, not holding the expert,
/// that would then have the least risk; ties to the lower rank. `copies` [expert] >= 1, all
/// together no more than ranks * slots. A further replica for which no rank is left is dropped.
[[nodiscard]] RankMembers pack_by_risk(const LoadMoments& moments,
                                       std::span<const std::int32_t> copies, int ranks, int slots);

/// One layer: slots beyond one per expert are used for replicas, at most `replicas` of them.
/// Returns the placement with the least mean over steps of max/mean load that the search has seen.
/// `pulse` as above.
[[nodiscard]] RankMembers flashlb_layer(const Trace& trace, int layer, int ranks, int slots,
                                        int replicas, const std::function<void()>& pulse = {});

}  // namespace gembench::inline strategies
