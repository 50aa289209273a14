#pragma once

#include <string>

#include "harness/cli/options.hpp"
#include "placement/cost/node_traffic.hpp"

namespace gembench::inline run {

/// Seconds that moving one expert's weights takes: --expert-bytes, or those of the model that
/// `model` names ("deepseek-v3 bf16", as profiles and placements say), over --bandwidth. 0 where
/// --bandwidth is not given; usage error where it is and nobody knows the bytes.
[[nodiscard]] double move_seconds(const MoveCostOptions& options, const std::string& model);

/// Usage error for prices of bytes between nodes where there is only one.
void require_nodes_to_price(const NodeOptions& options, int nodes);
/// --node-cost, or the matrix of --node-costs.
void price_links(const NodeOptions& options, NodeNetwork& network);

/// Bytes that one token of the model named so has on the wire: --token-bytes, or what is known of
/// it; 0 where nobody knows.
[[nodiscard]] double token_bytes(double stated, const std::string& model);

/// --ranks-per-node and what belongs to it; no nodes without. A token has --token-bytes, or what
/// the model that `model` names sends; usage error where nobody knows, or there is one node.
[[nodiscard]] NodeNetwork node_network(const ProblemOptions& options, const std::string& model,
                                       int ranks);

}  // namespace gembench::inline run
