#include "moe_layer/mpi/topology.hpp"

#include <gtest/gtest.h>

#include <set>

#include "moe_layer/dispatch/forwarding.hpp"

namespace gembench {
namespace {

TEST(Topology, numbers_nodes_in_the_order_of_their_first_ranks) {
  const Topology topology({5, 5, 2, 5, 2, 9});
  EXPECT_EQ(topology.nodes(), 3);
  EXPECT_EQ(topology.largest_node(), 3);
  const int nodes[] = {0, 0, 1, 0, 1, 2}, local[] = {0, 1, 0, 2, 1, 0};
  for (int rank = 0; rank < 6; ++rank) {
    EXPECT_EQ(topology.node(rank), nodes[rank]);
    EXPECT_EQ(topology.local_rank(rank), local[rank]);
  }
  EXPECT_EQ(topology.ranks_of(1), (std::vector<int>{2, 4}));
}

TEST(Topology, groups_of_ranks_count_as_nodes) {
  const auto topology = Topology::in_groups_of(3, 8);
  EXPECT_EQ(topology.nodes(), 3);
  EXPECT_EQ(topology.ranks_of(2), (std::vector<int>{6, 7}));
  EXPECT_EQ(Topology::in_groups_of(100, 8).nodes(), 1);
}

TEST(Topology, every_source_has_one_forwarder_a_node_and_is_its_own_at_home) {
  for (const auto& topology : {Topology({0, 0, 0, 1, 1}), Topology({0, 1, 0, 1, 0, 2}),
                               Topology::in_groups_of(4, 8), Topology::in_groups_of(1, 5)}) {
    std::multiset<std::pair<int, int>> served;  // source, node
    for (int rank = 0; rank < topology.ranks(); ++rank) {
      EXPECT_EQ(topology.forwarder(rank, topology.node(rank)), rank);
      for (const int source : topology.sources_of(rank)) {
        served.insert({source, topology.node(rank)});
        EXPECT_EQ(topology.forwarder(source, topology.node(rank)), rank);
      }
    }
    EXPECT_EQ(served.size(), static_cast<std::size_t>(topology.ranks() * topology.nodes()));
    for (const auto& one : served) EXPECT_EQ(served.count(one), 1U);
  }
}

TEST(Forwarding, a_home_seen_by_node_names_forwarder_and_slot_of_the_node) {
  const Topology topology({0, 0, 1, 1, 1});
  const std::vector<Location> locations{{0, 1}, {1, 0}, {2, 3}, {4, 2}};
  const auto seen = by_node(locations, topology, 1, 4);
  const std::vector<Location> expected{{1, 1}, {1, 4}, {3, 3}, {3, 10}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(seen[i].rank, expected[i].rank);
    EXPECT_EQ(seen[i].slot, expected[i].slot);
  }
}

TEST(Forwarding, limits_follow_from_whom_a_rank_serves) {
  // Node 1 has one rank, which serves all five sources; rank 0 serves two local ranks of node 0
  // and the one of node 1.
  const Topology topology({0, 0, 0, 0, 1});
  EXPECT_EQ(forwarded_at_most(topology, 4, 10, 8).received, 50);
  EXPECT_EQ(forwarded_at_most(topology, 4, 10, 8).sent, 50);
  EXPECT_EQ(forwarded_at_most(topology, 0, 10, 8).received, 20);
  EXPECT_EQ(forwarded_at_most(topology, 0, 10, 8).sent, 80);
  EXPECT_EQ(forwarded_at_most(topology, 0, 10, 2).sent, 40);
}

}  // namespace
}  // namespace gembench
