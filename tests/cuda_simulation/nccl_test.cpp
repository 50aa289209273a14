// Sends and receives between ranks, in every order of queued work.

#include <algorithm>
#include <numeric>

#include "tests/cuda_simulation/nccl_for_tests.hpp"

namespace gembench::simulation {
namespace {

class Nccl : public NcclTest {};

/// What `from` sends `to`: so many values, none for some.
int count_of(int from, int to) {
  return (3 * from + 5 * to + 1) % 7;
}
int value_of(int from, int to, int i) {
  return 10000 * from + 100 * to + i;
}

TEST_F(Nccl, everyone_sends_everyone_a_different_number_of_values) {
  make_communicator();
  constexpr std::size_t kRow = 8;
  const auto n = static_cast<std::size_t>(size_);
  for (const auto& order : kOrders) {
    set("ORDER", order);
    std::vector<int> host(n * kRow);
    for (int peer = 0; peer < size_; ++peer) {
      for (int i = 0; i < count_of(rank_, peer); ++i) {
        host[static_cast<std::size_t>(peer) * kRow + static_cast<std::size_t>(i)] =
            value_of(rank_, peer, i);
      }
    }
    const Values<int> out(host), in(n * kRow);
    // Twice, to see that rounds do not mix.
    for (int round = 0; round < 2; ++round) {
      EXPECT_CUDA(cudaMemsetAsync(in.get(), 0, n * kRow * sizeof(int), stream_->stream));
      EXPECT_NCCL(ncclGroupStart());
      for (int peer = 0; peer < size_; ++peer) {
        const auto at = static_cast<std::size_t>(peer) * kRow;
        const auto sent = static_cast<std::size_t>(count_of(rank_, peer));
        const auto received = static_cast<std::size_t>(count_of(peer, rank_));
        if (sent > 0) {
          EXPECT_NCCL(ncclSend(out.get() + at, sent, ncclInt32, peer, comm_, stream_->stream));
        }
        if (received > 0) {
          EXPECT_NCCL(ncclRecv(in.get() + at, received, ncclInt32, peer, comm_, stream_->stream));
        }
      }
      EXPECT_NCCL(ncclGroupEnd());
      EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
      const auto got = in.read();
      for (int peer = 0; peer < size_; ++peer) {
        for (std::size_t i = 0; i < kRow; ++i) {
          const bool sent = static_cast<int>(i) < count_of(peer, rank_);
          EXPECT_EQ(got[static_cast<std::size_t>(peer) * kRow + i],
                    sent ? value_of(peer, rank_, static_cast<int>(i)) : 0)
              << order << " from " << peer;
        }
      }
    }
  }
  EXPECT_EQ(counters().nccl_groups, 2 * static_cast<std::int64_t>(kOrders.size()));
}

TEST_F(Nccl, a_large_message_goes_round_in_a_ring_with_polling) {
  make_communicator();
  constexpr std::size_t kValues = 1U << 18U;
  const int next = (rank_ + 1) % size_, before = (rank_ + size_ - 1) % size_;
  const Values<int> in(kValues), out(std::vector<int>(kValues, rank_));
  EXPECT_NCCL(ncclGroupStart());
  EXPECT_NCCL(ncclSend(out.get(), kValues, ncclInt32, next, comm_, stream_->stream));
  EXPECT_NCCL(ncclRecv(in.get(), kValues, ncclInt32, before, comm_, stream_->stream));
  EXPECT_NCCL(ncclGroupEnd());
  while (cudaStreamQuery(stream_->stream) == cudaErrorNotReady) continue;
  EXPECT_EQ(in.read(), std::vector<int>(kValues, before));
}

/// Two streams of one communicator: messages match in the order of the calls, whichever runs first.
TEST_F(Nccl, messages_of_two_streams_do_not_mix) {
  make_communicator();
  const int next = (rank_ + 1) % size_, before = (rank_ + size_ - 1) % size_;
  for (const auto& order : kOrders) {
    // Ranks differ in the order, as GPUs do.
    set("ORDER", rank_ % 2 == 0 ? order : "reverse");
    const TestStream second;
    const Values<int> out(std::vector<int>{1, 2}), in(2);
    const cudaStream_t streams[] = {stream_->stream, second.stream};
    for (const int i : {0, 1}) {
      EXPECT_NCCL(ncclGroupStart());
      EXPECT_NCCL(ncclSend(out.get() + i, 1, ncclInt32, next, comm_, streams[i]));
      EXPECT_NCCL(ncclRecv(in.get() + i, 1, ncclInt32, before, comm_, streams[i]));
      EXPECT_NCCL(ncclGroupEnd());
    }
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_EQ(in.read(), (std::vector<int>{1, 2})) << order;
  }
}

/// A group whose messages lie on two streams holds both up.
TEST_F(Nccl, a_group_on_two_streams_runs_after_both_and_before_both) {
  make_communicator();
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const TestStream second;
    const Values<int> out(std::vector<int>{0}), in(1), after_first(1), after_second(1);
    EXPECT_CUDA(cudaMemsetAsync(out.get(), 1, 4, second.stream));
    EXPECT_CUDA(cudaMemsetAsync(in.get(), 2, 4, stream_->stream));  // what is received comes later
    EXPECT_NCCL(ncclGroupStart());
    EXPECT_NCCL(ncclSend(out.get(), 1, ncclInt32, rank_, comm_, second.stream));
    EXPECT_NCCL(ncclRecv(in.get(), 1, ncclInt32, rank_, comm_, stream_->stream));
    EXPECT_NCCL(ncclGroupEnd());
    for (const cudaStream_t stream : {stream_->stream, second.stream}) {
      const Values<int>& copy = stream == second.stream ? after_second : after_first;
      EXPECT_CUDA(cudaMemcpyAsync(copy.get(), in.get(), 4, cudaMemcpyDeviceToDevice, stream));
    }
    EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
    EXPECT_CUDA(cudaStreamSynchronize(second.stream));
    EXPECT_EQ(after_first.read()[0], 0x01010101) << order;
    EXPECT_EQ(after_second.read()[0], 0x01010101) << order;
    EXPECT_EQ(in.read()[0], 0x01010101) << order;
  }
}

TEST_F(Nccl, a_count_that_differs_breaks_the_communicator_and_does_not_hang) {
  make_communicator();
  const Values<int> out(4), in(4);
  const int next = (rank_ + 1) % size_, before = (rank_ + size_ - 1) % size_;
  EXPECT_NCCL(ncclGroupStart());
  EXPECT_NCCL(ncclSend(out.get(), 3, ncclInt32, next, comm_, stream_->stream));
  EXPECT_NCCL(ncclRecv(in.get(), 4, ncclInt32, before, comm_, stream_->stream));
  EXPECT_NCCL(ncclGroupEnd());
  EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
  ncclResult_t error = ncclSuccess;
  EXPECT_NCCL(ncclCommGetAsyncError(comm_, &error));
  EXPECT_EQ(error, ncclInvalidUsage);
  EXPECT_NE(std::string(ncclGetLastError(comm_)).find("expected 16 bytes"), std::string::npos);
  EXPECT_EQ(ncclSend(out.get(), 1, ncclInt32, next, comm_, stream_->stream), ncclInvalidUsage);
}

TEST_F(Nccl, a_message_that_nobody_receives_is_reported_at_the_end) {
  make_communicator();
  const Values<int> out(std::vector<int>{1});
  const int next = (rank_ + 1) % size_;
  EXPECT_NCCL(ncclSend(out.get(), 1, ncclInt32, next, comm_, stream_->stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
  EXPECT_EQ(ncclCommFinalize(comm_), ncclInvalidUsage);
}

TEST_F(Nccl, an_abort_frees_who_waits) {
  make_communicator();
  const Values<int> in(1);
  EXPECT_NCCL(ncclRecv(in.get(), 1, ncclInt32, (rank_ + 1) % size_, comm_, stream_->stream));
  EXPECT_EQ(cudaStreamQuery(stream_->stream), cudaErrorNotReady);
  EXPECT_NCCL(ncclCommAbort(std::exchange(comm_, nullptr)));
  EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
}

TEST_F(Nccl, two_ranks_on_one_gpu_are_refused_on_all) {
  if (size_ == 1) GTEST_SKIP() << "needs two ranks";
  EXPECT_CUDA(cudaSetDevice(rank_ == 1 ? 0 : rank_));
  EXPECT_EQ(ncclCommInitRank(&comm_, size_, shared_id(), rank_), ncclInvalidUsage);
  EXPECT_NE(std::string(ncclGetLastError(nullptr)).find("Duplicate GPU"), std::string::npos);
  EXPECT_CUDA(cudaSetDevice(rank_));
}

TEST_F(Nccl, a_communicator_can_be_made_without_waiting) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  EXPECT_EQ(ncclCommInitRankConfig(&comm_, size_, shared_id(), rank_, &config), ncclInProgress);
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) EXPECT_NCCL(ncclCommGetAsyncError(comm_, &state));
  EXPECT_NCCL(state);
  int count = 0, rank = -1;
  EXPECT_NCCL(ncclCommCount(comm_, &count));
  EXPECT_NCCL(ncclCommUserRank(comm_, &rank));
  EXPECT_EQ(count, size_);
  EXPECT_EQ(rank, rank_);
}

TEST_F(Nccl, calls_that_nccl_refuses) {
  make_communicator();
  const Values<int> memory(2);
  void* registered = nullptr;
  EXPECT_NCCL(ncclMemAlloc(&registered, 64));
  EXPECT_CUDA(cudaMemset(registered, 0, 64));
  EXPECT_NCCL(ncclMemFree(registered));
  int host = 0;
  const auto send = [&](void* from, std::size_t count, int peer) {
    return ncclSend(from, count, ncclInt32, peer, comm_, stream_->stream);
  };
  EXPECT_EQ(send(&host, 1, 0), ncclInvalidArgument);
  EXPECT_EQ(send(memory.get(), 3, 0), ncclInvalidArgument);
  EXPECT_EQ(send(memory.get(), 1, size_), ncclInvalidArgument);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  set("FAULT", "ncclGroupEnd:1:3,ncclCommGetAsyncError:1:6");
  EXPECT_NCCL(ncclGroupStart());
  EXPECT_EQ(ncclGroupEnd(), ncclInternalError);
  ncclResult_t state = ncclSuccess;
  EXPECT_NCCL(ncclCommGetAsyncError(comm_, &state));
  EXPECT_EQ(state, ncclRemoteError);
  int version = 0;
  EXPECT_NCCL(ncclGetVersion(&version));
  EXPECT_EQ(version, NCCL_VERSION_CODE);
}

}  // namespace
}  // namespace gembench::simulation
