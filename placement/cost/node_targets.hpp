#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/cost/node_network.hpp"

namespace gembench::inline cost {

/// The targets of tokens: ranks, or nodes if a token goes to a node only once.
class Targets {
 public:
  /// Usage error for costs that do not match the nodes.
  Targets(const NodeNetwork& network, int rank_count)
      : ranks_(rank_count),
        each_(network.ranks_per_node > 0 ? std::min(network.ranks_per_node, rank_count)
                                         : rank_count),
        once_(network.once_a_node) {
    const auto& links = network.link_seconds_per_byte;
    const auto count = static_cast<std::size_t>(nodes());
    if (!links.empty() && links.size() != count * count)
      throw usage_error(fmt::format("{} prices of links for {} nodes; give {} x {}", links.size(),
                                    count, count, count));
    for (std::size_t node = 0; node < count; ++node) {
      double price = 0;
      for (std::size_t source = 0; source < count; ++source) {
        if (source == node) continue;
        const auto link = links.empty() ? network.seconds_per_byte : links[source * count + node];
        if (!std::isfinite(link) || link < 0)
          throw usage_error(
              fmt::format("the price of a byte from node {} to node {} is {}; give a number from 0",
                          source, node, link));
        price += link * share(static_cast<int>(source));
      }
      prices_.push_back(price);
    }
  }

  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(once_ ? nodes() : ranks_);
  }
  [[nodiscard]] std::size_t of(int rank) const {
    return static_cast<std::size_t>(once_ ? rank / each_ : rank);
  }
  /// Share of all tokens that are not on the target's node.
  [[nodiscard]] double outside(std::size_t target) const { return 1 - share(node_of(target)); }
  /// Seconds per byte that all tokens send to the target, each from its node.
  [[nodiscard]] double price(std::size_t target) const {
    return prices_[static_cast<std::size_t>(node_of(target))];
  }
  /// Whether any byte costs anything.
  [[nodiscard]] bool priced() const {
    return std::ranges::any_of(prices_, [](double price) { return price > 0; });
  }

 private:
  [[nodiscard]] int nodes() const { return (ranks_ + each_ - 1) / each_; }
  [[nodiscard]] int node_of(std::size_t target) const {
    return once_ ? static_cast<int>(target) : static_cast<int>(target) / each_;
  }
  /// Of all tokens, those that are on the node.
  [[nodiscard]] double share(int node) const {
    return static_cast<double>(std::min(each_, ranks_ - node * each_)) / ranks_;
  }

  int ranks_, each_;
  bool once_;
  std::vector<double> prices_;  // [node]
};

}  // namespace gembench::inline cost
