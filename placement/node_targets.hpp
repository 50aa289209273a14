#pragma once

#include <algorithm>
#include <cstddef>

#include "placement/node_traffic.hpp"

namespace gembench {

/// Ranks, or nodes where a token goes to a node once: what tokens are sent to.
struct Targets {
  Targets(const NodeNetwork& network, int rank_count)
      : ranks(rank_count),
        each(network.ranks_per_node > 0 ? std::min(network.ranks_per_node, rank_count)
                                        : rank_count),
        once(network.once_a_node) {}

  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(once ? (ranks + each - 1) / each : ranks);
  }
  [[nodiscard]] std::size_t of(int rank) const {
    return static_cast<std::size_t>(once ? rank / each : rank);
  }
  /// Share of all tokens that are on other nodes than the target.
  [[nodiscard]] double outside(std::size_t target) const {
    const auto node = once ? static_cast<int>(target) : static_cast<int>(target) / each;
    return 1 - static_cast<double>(std::min(each, ranks - node * each)) / ranks;
  }

  int ranks, each;
  bool once;
};

}  // namespace gembench
