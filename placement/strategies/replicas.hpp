#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline strategies {

/// The load by which replicas are distributed.
enum class ReplicaLoad {
  mean,  ///< over the steps
  tail   ///< halfway between the mean and the 90th percentile of the steps
};

/// One layer of a trace, without ids.
[[nodiscard]] Trace one_layer(const Trace& trace, int layer);

/// [expert] replicas of every expert of a one-layer trace, the first included: `replicas` more in
/// all, one by one to the largest load per replica, at most `ranks` of each; ties to the lower
/// expert.
[[nodiscard]] std::vector<std::int32_t> count_copies(const Trace& layer, int replicas, int ranks,
                                                     ReplicaLoad by);

/// Fills empty slots of a layer until it has `replicas` of them, an expert at most once a rank:
/// rank by rank the expert with the least `load` ([expert], any unit, >= 0) per replica, which
/// changes the ranks' loads least; ties to the lower expert.
void add_cold_replicas(std::span<const std::int64_t> load, int layer, int replicas,
                       Placement& placement);

/// A layer in which every replica is an expert of its own, with an even share of the tokens.
struct SplitLayer {
  Trace trace;
  std::vector<std::int32_t> expert;  ///< [replica] whose tokens it shares; those come first that
                                     ///< are the first of their expert
};
[[nodiscard]] SplitLayer split_layer(const Trace& layer, const std::vector<std::int32_t>& copies);

}  // namespace gembench::inline strategies
