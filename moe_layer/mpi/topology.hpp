#pragma once

#include <vector>

namespace gembench::inline mpi {

/// Which node every rank is on. Nodes are numbered from 0 in the order of their first ranks.
class Topology {
 public:
  /// `node_of`: [rank], any numbers that are equal on a node.
  explicit Topology(const std::vector<int>& node_of);
  /// Every `each` ranks in a row count as a node, whatever machine they run on.
  [[nodiscard]] static Topology in_groups_of(int each, int ranks);

  [[nodiscard]] int ranks() const { return static_cast<int>(node_.size()); }
  [[nodiscard]] int nodes() const { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] int node(int rank) const { return node_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] int local_rank(int rank) const { return local_[static_cast<std::size_t>(rank)]; }
  /// Ranks of a node, ascending.
  [[nodiscard]] const std::vector<int>& ranks_of(int node) const {
    return ranks_[static_cast<std::size_t>(node)];
  }
  [[nodiscard]] int largest_node() const;

  /// Hierarchical dispatch: the rank of `node` that receives what `source` sends to that node. It
  /// has the same local rank, modulo the node's size: so ranks share the work, and on its own node
  /// a rank is its own forwarder.
  [[nodiscard]] int forwarder(int source, int node) const;
  /// Ranks whose tokens `rank` forwards within its node, ascending.
  [[nodiscard]] std::vector<int> sources_of(int rank) const;

 private:
  std::vector<int> node_, local_;        // [rank]
  std::vector<std::vector<int>> ranks_;  // [node]
};

}  // namespace gembench::inline mpi
