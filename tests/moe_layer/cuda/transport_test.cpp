// Every way between ranks by itself, also those that this machine's MPI cannot offer: simulated
// device memory is host memory, which any MPI takes.
#include "moe_layer/cuda/transport.hpp"

#include <gtest/gtest.h>

#include "moe_layer/cuda/gpu.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/mpi_transport.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

using cuda::Transport;

constexpr std::size_t kRow = 24;  // bytes

/// A rank's way to the others, and a stream.
struct Line {
  explicit Line(const cuda::TransportRow& row) : transport({comm, spans, at}, row) {
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

/// By its place in the table.
class Transports : public testing::TestWithParam<std::size_t> {};

TEST_P(Transports, rows_arrive_by_source_and_weights_where_they_were_sent) {
  for (const auto& order : kOrders) {
    const Simulated streams(kOrder, order);
    Line line(cuda::transports()[GetParam()]);
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

INSTANTIATE_TEST_SUITE_P(Rows, Transports,
                         testing::Range(std::size_t{0}, cuda::transports().size()));

TEST(Transport, all_ranks_have_met_when_it_is_connected) {
  gembench_simulation_reset_counters();
  Line line(cuda::transport_for("nccl", false));
  const int others = line.comm.size() - 1;
  EXPECT_EQ(gembench_simulation_counters()->nccl_contacts, 2 * others);  // to and from each
}

TEST(Transport, device_addresses_are_tried_before_they_are_relied_on) {
  gembench_simulation_reset_counters();
  Line line(cuda::transport_for("mpi", true));
  EXPECT_GT(gembench_simulation_counters()->copies, 0);
  // An MPI that reads the addresses as its own, and sends nothing of what is there; or only of the
  // large messages, whose way is another.
  for (const std::size_t kept : {std::size_t{0}, std::size_t{1} << 16}) {
    const auto lossy = [&](std::span<const Message> sends, std::span<const Message> receives) {
      if (sends[0].bytes <= kept) line.comm.exchange(sends, receives);
    };
    try {
      cuda::require_device_addresses({line.comm, line.spans, line.at}, lossy, line.stream);
      ADD_FAILURE() << "nothing was noticed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::environment);
      EXPECT_NE(std::string(error.what()).find("--transport nccl"), std::string::npos);
    }
  }
}

TEST(Transport, is_chosen_by_what_was_asked_and_by_what_mpi_takes) {
  const auto words = [](const char* asked, bool mpi_takes_addresses) {
    return cuda::transport_for(asked, mpi_takes_addresses).words();
  };
  EXPECT_EQ(words("auto", true).find("NCCL 2."), 0U);
  EXPECT_EQ(words("nccl", true).find("NCCL 2."), 0U);
  EXPECT_EQ(words("mpi", true), "CUDA-aware MPI");
  EXPECT_EQ(words("mpi", false), "MPI through pinned host memory");
}

TEST(Transport, only_what_the_host_does_not_send_can_be_captured) {
  for (const cuda::TransportRow& row : cuda::transports()) {
    EXPECT_EQ(row.capturable, row.asked != "mpi");
    EXPECT_EQ(row.own_gpu, row.asked != "mpi");
  }
}

}  // namespace
}  // namespace gembench
