#pragma once

#include <string>

#include "harness/cli/options.hpp"
#include "placement/cost/node_traffic.hpp"

namespace gembench::inline run {

/// Bytes of one expert's weights: --expert-bytes, or by the shape of the model that `model` names;
/// usage error if they are unknown.
[[nodiscard]] double expert_bytes(const MoveCostOptions& options, const std::string& model);

/// Seconds that moving one expert's weights takes: --expert-bytes, or those of the model that
/// `model` names ("deepseek-v3 bf16", as profiles and placements say), over --bandwidth. 0 without
/// --bandwidth; usage error if it is given and the bytes are unknown.
[[nodiscard]] double move_seconds(const MoveCostOptions& options, const std::string& model);

/// Usage error for costs of bytes between nodes if there is only one node.
void require_nodes_to_price(const NodeOptions& options, int nodes);
/// --node-cost, or the matrix of --node-costs.
void price_links(const NodeOptions& options, NodeNetwork& network);

/// Bytes that one token of the named model has on the wire: --token-bytes, or by the model's shape;
/// 0 if unknown.
[[nodiscard]] double token_bytes(double stated, const std::string& model);

/// --ranks-per-node and its related options; no nodes without it. A token has --token-bytes, or the
/// bytes of the model that `model` names; usage error if they are unknown or there is only one
/// node.
[[nodiscard]] NodeNetwork node_network(const ProblemOptions& options, const std::string& model,
                                       int ranks);

}  // namespace gembench::inline run
