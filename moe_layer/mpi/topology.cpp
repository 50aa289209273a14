#include "moe_layer/mpi/topology.hpp"

#include <algorithm>
#include <map>

namespace gembench::inline mpi {

Topology::Topology(const std::vector<int>& node_of) {
  std::map<int, int> numbers;
  for (const int given : node_of) {
    const int node = numbers.try_emplace(given, static_cast<int>(numbers.size())).first->second;
    if (node == nodes()) ranks_.emplace_back();
    auto& ranks = ranks_[static_cast<std::size_t>(node)];
    local_.push_back(static_cast<int>(ranks.size()));
    ranks.push_back(static_cast<int>(node_.size()));
    node_.push_back(node);
  }
}

Topology Topology::in_groups_of(int each, int ranks) {
  std::vector<int> node_of;
  for (int rank = 0; rank < ranks; ++rank) node_of.push_back(rank / each);
  return Topology(node_of);
}

int Topology::largest_node() const {
  std::size_t most = 0;
  for (const auto& ranks : ranks_) most = std::max(most, ranks.size());
  return static_cast<int>(most);
}

int Topology::forwarder(int source, int node) const {
  const auto& ranks = ranks_of(node);
  return ranks[static_cast<std::size_t>(local_rank(source)) % ranks.size()];
}

std::vector<int> Topology::sources_of(int rank) const {
  std::vector<int> sources;
  for (int source = 0; source < ranks(); ++source) {
    if (forwarder(source, node(rank)) == rank) sources.push_back(source);
  }
  return sources;
}

}  // namespace gembench::inline mpi
