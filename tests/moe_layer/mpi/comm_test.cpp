#include "moe_layer/mpi/comm.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace gembench {
namespace {

TEST(Comm, gathers_texts_and_values_in_rank_order) {
  const Comm comm = Comm::world();
  const auto texts = comm.gather(std::string(static_cast<std::size_t>(comm.rank()), 'x'));
  const std::vector<int> mine{comm.rank(), -comm.rank()};
  const auto values = comm.gather(std::span<const int>(mine));
  if (comm.rank() != 0) {
    EXPECT_TRUE(texts.empty());
    EXPECT_TRUE(values.empty());
    return;
  }
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(comm.size()));
  for (int rank = 0; rank < comm.size(); ++rank) {
    EXPECT_EQ(texts[static_cast<std::size_t>(rank)].size(), static_cast<std::size_t>(rank));
    EXPECT_EQ(values[static_cast<std::size_t>(2 * rank + 1)], -rank);
  }
}

TEST(Comm, simulated_ranks_all_give_what_rank_0_gives) {
  const Comm comm = Comm::simulated(5);
  EXPECT_TRUE(comm.is_simulated());
  EXPECT_FALSE(Comm::world().is_simulated());
  EXPECT_EQ(comm.rank(), 0);
  EXPECT_EQ(comm.size(), 5);
  EXPECT_EQ(comm.node_of(), std::vector<int>(5, 0));
  comm.barrier();
  EXPECT_EQ(comm.max(2.5), 2.5);
  EXPECT_EQ(comm.min(-7), -7);
  EXPECT_EQ(comm.sum(3), 15);
  const std::vector<int> mine{4, 9};
  EXPECT_EQ(comm.gather(std::span<const int>(mine)),
            (std::vector<int>{4, 9, 4, 9, 4, 9, 4, 9, 4, 9}));
  EXPECT_EQ(comm.gather(std::string("host")), std::vector<std::string>(5, "host"));
  std::vector<std::int32_t> values{1, 2};
  comm.broadcast(values);
  EXPECT_EQ(values, (std::vector<std::int32_t>{1, 2}));
  std::vector<std::int32_t> one(1), all(5);
  EXPECT_THROW(comm.all_gather(one, all), std::logic_error);
  EXPECT_THROW(comm.exchange({}, {}), std::logic_error);
}

TEST(Comm, broadcasts_sizes_and_content) {
  const Comm comm = Comm::world();
  // Over 1 MiB, so that both the whole units and the rest are used.
  std::vector<std::int32_t> values(comm.rank() == 0 ? 300'001 : 5);
  if (comm.rank() == 0) std::iota(values.begin(), values.end(), 0);
  comm.broadcast(values);
  ASSERT_EQ(values.size(), 300'001U);
  EXPECT_EQ(values.front(), 0);
  EXPECT_EQ(values.back(), 300'000);
  std::string text = comm.rank() == 0 ? "from the root" : "";
  comm.broadcast(text);
  EXPECT_EQ(text, "from the root");
}

TEST(Comm, rows_reach_the_rank_they_are_for_also_its_own) {
  const Comm comm = Comm::world();
  const int ranks = comm.size(), me = comm.rank();
  // Rank r sends (r + d) % 3 rows of two ints to rank d: some send none.
  const auto rows_between = [](int from, int to) { return (from + to) % 3; };
  std::vector<std::int32_t> send_rows, recv_rows;
  std::vector<std::int32_t> send;
  for (int peer = 0; peer < ranks; ++peer) {
    send_rows.push_back(rows_between(me, peer));
    recv_rows.push_back(rows_between(peer, me));
    for (int i = 0; i < send_rows.back(); ++i) send.insert(send.end(), {100 * me + peer, i});
  }
  const int total = std::accumulate(recv_rows.begin(), recv_rows.end(), 0);
  std::vector<std::int32_t> recv(static_cast<std::size_t>(2 * total), -1);
  comm.all_to_all_rows(send.data(), send_rows, recv.data(), recv_rows, 2 * sizeof(std::int32_t));
  std::size_t at = 0;
  for (int peer = 0; peer < ranks; ++peer) {
    for (int i = 0; i < rows_between(peer, me); ++i, at += 2) {
      EXPECT_EQ(recv[at], 100 * peer + me);
      EXPECT_EQ(recv[at + 1], i);
    }
  }
}

TEST(Comm, large_messages_cross_in_both_directions_at_once) {
  const Comm comm = Comm::world();
  const int right = (comm.rank() + 1) % comm.size();
  const int left = (comm.rank() + comm.size() - 1) % comm.size();
  std::vector<std::uint8_t> out((3U << 20) + 17, static_cast<std::uint8_t>(comm.rank()));
  std::vector<std::uint8_t> in(out.size(), 255);
  const Message send{out.data(), out.size(), right, 1}, receive{in.data(), in.size(), left, 1};
  comm.exchange({&send, 1}, {&receive, 1});
  EXPECT_EQ(in, std::vector<std::uint8_t>(in.size(), static_cast<std::uint8_t>(left)));
}

TEST(Comm, reduces_over_all_ranks) {
  const Comm comm = Comm::world();
  EXPECT_EQ(comm.max(comm.rank()), comm.size() - 1);
  EXPECT_EQ(comm.sum(2), 2 * comm.size());
  EXPECT_EQ(comm.min(comm.rank()), 0);
  EXPECT_LT(comm.node_rank(), comm.node_size());
}

TEST(Comm, ranks_of_one_machine_are_one_node) {
  const Comm comm = Comm::world();
  EXPECT_EQ(comm.node_of(), std::vector<int>(static_cast<std::size_t>(comm.size()), 0));
}

}  // namespace
}  // namespace gembench
