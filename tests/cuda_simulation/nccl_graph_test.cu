// Captured exchanges, and clocks of several GPUs that are set apart.

#include <functional>
#include <numeric>

#include "tests/cuda_simulation/launch_for_tests.hpp"
#include "tests/cuda_simulation/nccl_for_tests.hpp"

namespace gembench::simulation {
namespace {

using Time = unsigned long long;

__global__ void bump_kernel(int* to) {
  ++*to;
}
__global__ void read_clock_kernel(Time* to) {
  *to = GEMBENCH_GLOBAL_TIMER();
}
__global__ void plant_kernel(Time nanoseconds) {
  const Time begin = GEMBENCH_GLOBAL_TIMER();
  while (GEMBENCH_GLOBAL_TIMER() - begin < nanoseconds) continue;
}

class NcclGraphs : public NcclTest {
 protected:
  cudaGraphExec_t capture(const std::function<void()>& calls) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    EXPECT_CUDA(cudaStreamBeginCapture(stream_->stream, cudaStreamCaptureModeThreadLocal));
    calls();
    EXPECT_CUDA(cudaStreamEndCapture(stream_->stream, &graph));
    EXPECT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    EXPECT_CUDA(cudaGraphDestroy(graph));
    return executable;
  }
  /// Everyone's value, also its own.
  void gather(const int* from, int* to, cudaStream_t stream) {
    EXPECT_NCCL(ncclGroupStart());
    for (int peer = 0; peer < size_; ++peer) {
      EXPECT_NCCL(ncclSend(from, 1, ncclInt32, peer, comm_, stream));
      EXPECT_NCCL(ncclRecv(to + peer, 1, ncclInt32, peer, comm_, stream));
    }
    EXPECT_NCCL(ncclGroupEnd());
  }
  [[nodiscard]] std::vector<int> values_of_ranks(int first) const {
    std::vector<int> values(static_cast<std::size_t>(size_));
    std::iota(values.begin(), values.end(), first);
    return values;
  }
  void launch_and_wait(cudaGraphExec_t executable) {
    EXPECT_CUDA(cudaGraphLaunch(executable, stream_->stream));
    EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
  }
};

TEST_F(NcclGraphs, a_captured_exchange_on_a_fork_runs_at_every_launch) {
  make_communicator();
  for (const auto& order : kOrders) {
    set("ORDER", order);
    gembench_simulation_reset_counters();
    const TestStream side;
    const TestEvent fork, join;
    const Values<int> out(std::vector<int>{rank_}), in(static_cast<std::size_t>(size_)),
        copy(static_cast<std::size_t>(size_));
    auto* const executable = capture([&] {
      EXPECT_CUDA(launch(stream_->stream, 1, 1, 0, bump_kernel, out.get()));
      EXPECT_CUDA(cudaEventRecord(fork.event, stream_->stream));
      EXPECT_CUDA(cudaStreamWaitEvent(side.stream, fork.event));
      gather(out.get(), in.get(), side.stream);
      EXPECT_CUDA(cudaEventRecord(join.event, side.stream));
      EXPECT_CUDA(cudaStreamWaitEvent(stream_->stream, join.event));
      EXPECT_CUDA(cudaMemcpyAsync(copy.get(), in.get(), sizeof(int) * static_cast<unsigned>(size_),
                                  cudaMemcpyDeviceToDevice, stream_->stream));
    });
    EXPECT_EQ(counters().nccl_sends, 0) << "a capture sends nothing";
    for (int step = 1; step <= 3; ++step) {
      launch_and_wait(executable);
      EXPECT_EQ(copy.read(), values_of_ranks(step)) << order;
    }
    EXPECT_EQ(counters().nccl_sends, 3 * size_);
    EXPECT_EQ(counters().graph_exchanges, 3);
    EXPECT_EQ(counters().nccl_groups, 0);
    EXPECT_CUDA(cudaGraphExecDestroy(executable));
  }
}

/// Ranks capture in different orders, and launch in the same one, with calls in between.
TEST_F(NcclGraphs, messages_match_in_the_order_of_launches) {
  make_communicator();
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const auto n = static_cast<std::size_t>(size_);
    const Values<int> out(std::vector<int>{rank_, 100 + rank_, 200 + rank_}), in(3 * n);
    cudaGraphExec_t executables[2] = {nullptr, nullptr};
    for (int i = 0; i < 2; ++i) {
      const int which = rank_ % 2 == 0 ? i : 1 - i;
      executables[which] =
          capture([&] { gather(out.get() + which, in.get() + which * size_, stream_->stream); });
    }
    EXPECT_CUDA(cudaGraphLaunch(executables[1], stream_->stream));
    gather(out.get() + 2, in.get() + 2 * size_, stream_->stream);
    EXPECT_CUDA(cudaGraphLaunch(executables[0], stream_->stream));
    EXPECT_CUDA(cudaStreamSynchronize(stream_->stream));
    auto expected = values_of_ranks(0);
    for (const int first : {100, 200}) {
      const auto more = values_of_ranks(first);
      expected.insert(expected.end(), more.begin(), more.end());
    }
    EXPECT_EQ(in.read(), expected) << order;
    for (auto* executable : executables) EXPECT_CUDA(cudaGraphExecDestroy(executable));
  }
}

TEST_F(NcclGraphs, a_group_on_two_streams_is_captured_by_one_graph_or_refused) {
  make_communicator();
  const TestStream second;
  const TestEvent fork, join;
  const Values<int> out(std::vector<int>{rank_ + 1}), in(std::vector<int>{-1}), copy(1);
  const auto group = [&] {
    ncclGroupStart();
    ncclSend(out.get(), 1, ncclInt32, rank_, comm_, second.stream);
    ncclRecv(in.get(), 1, ncclInt32, rank_, comm_, stream_->stream);
    return ncclGroupEnd();
  };
  auto* const executable = capture([&] {
    EXPECT_EQ(group(), ncclInvalidUsage);  // the second stream does not capture
    EXPECT_CUDA(cudaEventRecord(fork.event, stream_->stream));
    EXPECT_CUDA(cudaStreamWaitEvent(second.stream, fork.event));
    EXPECT_CUDA(launch(second.stream, 1, 1, 0, bump_kernel, out.get()));
    EXPECT_NCCL(group());
    EXPECT_CUDA(cudaMemcpyAsync(copy.get(), in.get(), 4, cudaMemcpyDeviceToDevice, second.stream));
    EXPECT_CUDA(cudaEventRecord(join.event, second.stream));
    EXPECT_CUDA(cudaStreamWaitEvent(stream_->stream, join.event));
  });
  for (const auto& order : kOrders) {
    set("ORDER", order);
    launch_and_wait(executable);
    EXPECT_EQ(copy.read(), out.read()) << order;
  }
  EXPECT_EQ(copy.read()[0], rank_ + 1 + static_cast<int>(kOrders.size()));
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
}

/// Rank 0 spins; everyone else sees that much longer a wait between its own two stamps, and nothing
/// else of it.
TEST_F(NcclGraphs, a_planted_spin_shows_in_the_stamps_of_those_who_wait) {
  set("CLOCK", "virtual");
  set("CLOCK_OFFSET", "1000000,-3000000:1,77:2");
  make_communicator();
  constexpr Time kSpin = 40'000;
  const Values<int> out(std::vector<int>{rank_}), in(static_cast<std::size_t>(size_));
  const Values<Time> stamps(2);
  Time waits[2] = {0, 0};
  for (const bool planted : {false, true}) {
    auto* const executable = capture([&] {
      gather(out.get(), in.get(), stream_->stream);  // all begin here
      if (rank_ == 0) {
        EXPECT_CUDA(launch(stream_->stream, 1, 1, 0, plant_kernel, planted ? kSpin : Time{0}));
      }
      EXPECT_CUDA(launch(stream_->stream, 1, 1, 0, read_clock_kernel, stamps.get()));
      gather(out.get(), in.get(), stream_->stream);
      EXPECT_CUDA(launch(stream_->stream, 1, 1, 0, read_clock_kernel, stamps.get() + 1));
    });
    for (int step = 0; step < 3; ++step) launch_and_wait(executable);
    const auto read = stamps.read();
    waits[planted ? 1 : 0] = read[1] - read[0];
    EXPECT_CUDA(cudaGraphExecDestroy(executable));
  }
  const double more = static_cast<double>(waits[1]) - static_cast<double>(waits[0]);
  constexpr double kWithin = 100;  // ns: two readings
  EXPECT_NEAR(more, rank_ == 0 ? 0.0 : static_cast<double>(kSpin), kWithin);
}

/// Stamps around messages to and fro give the offset of two clocks, as long as both ways take as
/// long.
TEST_F(NcclGraphs, messages_to_and_fro_measure_how_far_clocks_are_apart) {
  if (size_ == 1) GTEST_SKIP() << "needs two ranks";
  set("CLOCK", "virtual");
  set("CLOCK_OFFSET", "-123456:0,9876543:1");
  set("CLOCK_STEP", "32");
  make_communicator();
  const Values<Time> stamps(2);
  const Values<int> ball(1);
  if (rank_ < 2) {
    const int peer = 1 - rank_;
    const auto stream = stream_->stream;
    const auto send = [&] { EXPECT_NCCL(ncclSend(ball.get(), 1, ncclInt32, peer, comm_, stream)); };
    const auto receive = [&] {
      EXPECT_NCCL(ncclRecv(ball.get(), 1, ncclInt32, peer, comm_, stream));
    };
    const auto stamp = [&](int i) {
      EXPECT_CUDA(launch(stream, 1, 1, 0, read_clock_kernel, stamps.get() + i));
    };
    auto* const executable = capture([&] {
      if (rank_ == 0) stamp(0);
      if (rank_ == 0) send();
      receive();
      stamp(rank_ == 0 ? 1 : 0);
      if (rank_ == 1) stamp(1);
      if (rank_ == 1) send();
    });
    launch_and_wait(executable);
    EXPECT_CUDA(cudaGraphExecDestroy(executable));
  }
  const auto mine = stamps.read();
  Time others[2] = {0, 0};
  MPI_Status status;
  if (rank_ == 1) MPI_Send(mine.data(), sizeof(others), MPI_BYTE, 0, 0, MPI_COMM_WORLD);
  if (rank_ != 0) return;
  MPI_Recv(others, sizeof(others), MPI_BYTE, 1, 0, MPI_COMM_WORLD, &status);
  const auto apart = [](Time a, Time b) { return static_cast<double>(a) - static_cast<double>(b); };
  const double offset = (apart(others[0], mine[0]) + apart(others[1], mine[1])) / 2;
  EXPECT_NEAR(offset, 9876543.0 + 123456.0, 100);
}

}  // namespace
}  // namespace gembench::simulation
