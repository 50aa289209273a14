#pragma once

#include <vector>

namespace gembench::inline cost {

/// Nodes, and the cost of sending tokens between them. All ours: the paper has only one node.
struct NodeNetwork {
  int ranks_per_node = 0;    ///< consecutive ranks, the last node may have fewer; 0 = one node
  bool once_a_node = false;  ///< a token goes to a node once, not once to every rank that needs it
  double token_bytes = 0;    ///< of one token sent to one rank (or node)
  double seconds_per_byte = 0;  ///< what planners add to a step's time; 0 = nothing
  /// [node][node]: the same from one node to another, where links differ; replaces seconds_per_byte
  /// unless empty. The diagonal is ignored.
  std::vector<double> link_seconds_per_byte = {};
};

}  // namespace gembench::inline cost
