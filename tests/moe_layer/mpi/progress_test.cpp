#include "moe_layer/mpi/progress.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(ProgressBoard, shows_every_rank_of_the_node_to_every_other) {
  const Comm comm = Comm::world();
  ProgressBoard board(comm);
  ASSERT_EQ(board.ranks().size(), static_cast<std::size_t>(comm.node_size()));
  EXPECT_EQ(board.ranks()[static_cast<std::size_t>(comm.node_rank())], comm.rank());
  board.mine().at_step(100 + comm.rank());
  board.mine().enter(Phase::experts, comm.rank());
  comm.barrier();
  for (std::size_t i = 0; i < board.ranks().size(); ++i) {
    const Whereabouts where = board.of(i).now();
    EXPECT_EQ(where.step, 100 + board.ranks()[i]);
    EXPECT_EQ(where.layer, board.ranks()[i]);
    EXPECT_EQ(where.phase, Phase::experts);
    EXPECT_GT(board.of(i).alive(), 0);
  }
  // One rank of a node reports: the first that asks.
  comm.barrier();
  const bool mine = board.claim();
  EXPECT_EQ(comm.sum(mine ? 1 : 0), 1) << "this test runs on one node";
  EXPECT_FALSE(board.claim());
}

}  // namespace
}  // namespace gembench
