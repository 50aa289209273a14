// Every way between ranks by itself, also those that this machine's MPI cannot offer: simulated
// device memory is host memory, which any MPI takes.
#include "moe_layer/cuda/transport.hpp"

#include <gtest/gtest.h>

#include "moe_layer/cuda/gpu.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

using cuda::Transport;

constexpr std::size_t kRow = 24;  // bytes

/// A rank's way to the others, and a stream.
struct Line {
  explicit Line(Transport::Kind kind) : transport(comm, kind, spans, at) {
    if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) std::abort();
    transport.connect(stream);
    transport.prepare(std::size_t{1} << 20, std::size_t{1} << 20);
  }
  ~Line() { static_cast<void>(cudaStreamDestroy(stream)); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Comm comm = Comm::world();
  cuda::Whereabouts at{.rank = comm.rank(),
                       .gpu = cuda::choose_gpu(comm.node_rank()).index,
                       .phase = "",
                       .on_error = {}};
  cuda::Spans spans{at};
  Transport transport;
  cudaStream_t stream = nullptr;
};

/// Rows that `from` sends to `to`: some pairs have none.
int rows(int from, int to) {
  return (3 * from + 5 * to) % 4;
}
char mark(int from, int to) {
  return static_cast<char>(1 + 8 * from + to);
}

class Transports : public testing::TestWithParam<Transport::Kind> {};

TEST_P(Transports, rows_arrive_by_source_and_weights_where_they_were_sent) {
  for (const auto& order : kOrders) {
    const Simulated streams(kOrder, order);
    Line line(GetParam());
    const int me = line.comm.rank();
    std::vector<std::int32_t> out, in;
    std::vector<char> sent, expected;
    for (int rank = 0; rank < line.comm.size(); ++rank) {
      out.push_back(rows(me, rank));
      in.push_back(rows(rank, me));
      sent.insert(sent.end(), static_cast<std::size_t>(out.back()) * kRow, mark(me, rank));
      expected.insert(expected.end(), static_cast<std::size_t>(in.back()) * kRow, mark(rank, me));
    }
    Buffer from = cuda::device_memory(sent.size(), line.at);
    Buffer to = cuda::device_memory(expected.size(), line.at);
    std::copy(sent.begin(), sent.end(), from.as<char>());  // simulated memory is the host's
    const RowExchange part{&from, out, &to, in, kRow};
    line.transport.exchange(line.stream, {&part, 1});
    line.transport.synchronize(line.stream);
    EXPECT_EQ(std::vector<char>(to.as<char>(), to.as<char>() + expected.size()), expected) << order;

    const int right = (me + 1) % line.comm.size();
    const int left = (me + line.comm.size() - 1) % line.comm.size();
    Buffer weights = cuda::device_memory(kRow, line.at), got = cuda::device_memory(kRow, line.at);
    std::fill_n(weights.as<char>(), kRow, mark(me, right));
    const Message send{weights.as<char>(), kRow, right, 3}, receive{got.as<char>(), kRow, left, 3};
    line.transport.send_weights(line.stream, {&send, 1}, {&receive, 1});
    EXPECT_EQ(std::vector<char>(got.as<char>(), got.as<char>() + kRow),
              std::vector<char>(kRow, mark(left, me)))
        << order;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Transports,
                         testing::Values(Transport::Kind::nccl, Transport::Kind::cuda_aware_mpi,
                                         Transport::Kind::staged_mpi));

TEST(Transport, all_ranks_have_met_when_it_is_connected) {
  gembench_simulation_reset_counters();
  Line line(Transport::Kind::nccl);
  const int others = line.comm.size() - 1;
  EXPECT_EQ(gembench_simulation_counters()->nccl_contacts, 2 * others);  // to and from each
}

TEST(Transport, device_addresses_are_tried_before_they_are_relied_on) {
  gembench_simulation_reset_counters();
  Line line(Transport::Kind::cuda_aware_mpi);
  EXPECT_GT(gembench_simulation_counters()->copies, 0);
  // An MPI that reads the addresses as its own, and sends nothing of what is there.
  const auto lost = [](auto, auto) {};
  try {
    cuda::require_device_addresses(line.comm, lost, line.stream, line.at);
    ADD_FAILURE() << "nothing was noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::environment);
    EXPECT_NE(std::string(error.what()).find("--transport nccl"), std::string::npos);
  }
}

TEST(Transport, is_chosen_by_what_was_asked_and_by_what_mpi_takes) {
  EXPECT_EQ(Transport::kind_of("auto", true), Transport::Kind::nccl);
  EXPECT_EQ(Transport::kind_of("nccl", true), Transport::Kind::nccl);
  EXPECT_EQ(Transport::kind_of("mpi", true), Transport::Kind::cuda_aware_mpi);
  EXPECT_EQ(Transport::kind_of("mpi", false), Transport::Kind::staged_mpi);
  EXPECT_EQ(Line(Transport::Kind::cuda_aware_mpi).transport.name(), "CUDA-aware MPI");
}

}  // namespace
}  // namespace gembench
