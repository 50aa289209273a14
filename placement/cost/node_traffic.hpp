#pragma once

#include "placement/cost/node_network.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline cost {

/// What dispatch is expected to send between nodes in a step: all layers, mean over the steps;
/// combine sends as many bytes back.
struct NodeTraffic {
  double bytes = 0;
  double seconds = 0;  ///< the bytes at the network's price, all links one after the other
};

/// Tokens come from all ranks alike. From ids where the trace has them; from counts otherwise, as
/// if a token's experts were independent of each other within a step (experts of a step still go
/// together as far as steps differ). Usage errors as rank_loads, for a network without token_bytes,
/// and for link prices that are not a finite number >= 0 for every pair of nodes.
[[nodiscard]] NodeTraffic node_traffic(const Trace& trace, const Placement& placement,
                                       const NodeNetwork& network, const SplitSpec& split = {});

}  // namespace gembench::inline cost
