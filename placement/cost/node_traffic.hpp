#pragma once

#include "placement/cost/node_network.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline cost {

/// The bytes that dispatch is expected to send between nodes in a step: all layers, mean over the
/// steps; combine sends as many back.
struct NodeTraffic {
  double bytes = 0;
  double seconds = 0;  ///< the cost of the bytes, all links one after the other
};

/// All ranks have the same number of tokens. From ids where the trace has them; from counts
/// otherwise, as if a token's experts were independent of each other within a step (experts are
/// still correlated as far as steps differ). Usage errors as rank_loads, for a network without
/// token_bytes, and for link prices that are not a finite number >= 0 for every pair of nodes.
[[nodiscard]] NodeTraffic node_traffic(const Trace& trace, const Placement& placement,
                                       const NodeNetwork& network, const SplitSpec& split = {});

}  // namespace gembench::inline cost
