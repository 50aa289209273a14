// The payload exchange of the CUDA device against bare NCCL sends of the same matrix.
#include <nccl.h>

#include <numeric>

#include "placement/base/index.hpp"
#include "tests/bench/cuda_bench.hpp"
#include "tests/bench/routed_step.hpp"

namespace gembench::bench {
namespace {

/// A communicator of its own, which shares nothing with the device's.
class BareNccl {
 public:
  explicit BareNccl(const Comm& comm) : rank_(comm.rank()) {
    std::vector<ncclUniqueId> id(1);
    if (comm.rank() == 0) require(ncclGetUniqueId(id.data()), "ncclGetUniqueId");
    comm.broadcast(id);
    require(ncclCommInitRank(&nccl_, comm.size(), id[0], comm.rank()), "ncclCommInitRank");
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  ~BareNccl() {
    static_cast<void>(ncclCommDestroy(nccl_));
    static_cast<void>(cudaStreamDestroy(stream_));
  }
  BareNccl(const BareNccl&) = delete;
  BareNccl& operator=(const BareNccl&) = delete;

  /// One group and the wait for it; what stays on the rank is left out.
  void exchange(const RowExchange& part) {
    const char* from = part.send->as<char>();
    char* to = part.recv->as<char>();
    require(ncclGroupStart(), "ncclGroupStart");
    for (std::size_t rank = 0; rank < part.send_rows.size(); ++rank) {
      const std::size_t out = sz(part.send_rows[rank]) * part.row_bytes;
      const std::size_t in = sz(part.recv_rows[rank]) * part.row_bytes;
      const int peer = static_cast<int>(rank);
      if (peer != rank_ && out > 0) {
        require(ncclSend(from, out, ncclInt8, peer, nccl_, stream_), "ncclSend");
      }
      if (peer != rank_ && in > 0) {
        require(ncclRecv(to, in, ncclInt8, peer, nccl_, stream_), "ncclRecv");
      }
      from += out;
      to += in;
    }
    require(ncclGroupEnd(), "ncclGroupEnd");
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }

 private:
  int rank_;
  ncclComm_t nccl_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

class Exchange {
 public:
  Exchange(const Comm& comm, const Effort& effort)
      : comm_(comm),
        effort_(effort),
        device_(make_gpu(comm, scaled(find_model("gpt-oss-20b"), 32))),
        stream_(device_->make_stream()),
        bare_(comm) {}

  /// `rows` by destination; a rank's own are left out on both sides.
  void time(const std::string& shape, std::vector<std::int32_t> rows, std::size_t row_bytes) {
    rows[sz(comm_.rank())] = 0;
    std::vector<std::int32_t> in(rows.size());
    comm_.all_to_all(rows, in);
    const auto bytes = [&](const std::vector<std::int32_t>& counts) {
      return sz(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})) * row_bytes;
    };
    const std::vector<char> mine(bytes(rows), static_cast<char>(comm_.rank() + 1));
    Buffer send = device_->allocate(mine.size());
    Buffer ours_in = device_->allocate(bytes(in)), bare_in = device_->allocate(bytes(in));
    device_->upload(send, 0, mine.data(), mine.size());
    const RowExchange our_part{&send, rows, &ours_in, in, row_bytes};
    const RowExchange bare_part{&send, rows, &bare_in, in, row_bytes};
    const auto ours = [&] {
      device_->exchange(stream_, {&our_part, 1});
      device_->synchronize(stream_);
    };
    const auto reference = [&] { bare_.exchange(bare_part); };
    ours();
    reference();
    if (content(ours_in) != content(bare_in)) {
      throw std::runtime_error("both sides received different bytes");
    }
    // The rate is that of the rank that sends most.
    const double most = comm_.max(static_cast<double>(mine.size()));
    compare(comm_, effort_, "exchange", shape, ours, reference, 1,
            facts_of(*device_, "byte", most));
  }

 private:
  std::vector<char> content(const Buffer& buffer) {
    std::vector<char> bytes(buffer.bytes());
    device_->download(bytes.data(), buffer, 0, bytes.size());
    return bytes;
  }

  const Comm& comm_;
  const Effort& effort_;
  std::unique_ptr<Device> device_;
  Stream stream_;
  BareNccl bare_;
};

/// Rows that this rank sends to every other in a routed step of a model.
std::vector<std::int32_t> rows_of_step(const Comm& comm, const ModelShape& model, int tokens) {
  const RoutedStep step(comm, model, tokens);
  std::vector<std::int64_t> rows(sz(comm.size()), 0);
  count_rows(step.ids, locations(step.placement), 1, comm.size(), model.topk, rows);
  return {rows.begin(), rows.end()};
}

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  Exchange exchange(comm, effort);
  const std::size_t ranks = sz(comm.size());
  const std::vector<int> uniform = effort.quick() ? std::vector{3} : std::vector{1, 16, 256, 4096};
  for (const int rows : uniform) {
    exchange.time(fmt::format("{} rows of 8192 B to each", rows),
                  std::vector<std::int32_t>(ranks, rows), 8192);
  }
  ModelShape model = find_model("qwen3-30b-a3b");
  model.layers = 1;
  for (const int tokens : effort.quick() ? std::vector{64} : std::vector{512, 32768}) {
    exchange.time(fmt::format("{} tokens of {}", tokens, model.name),
                  rows_of_step(comm, model, tokens), sz(model.hidden) * 2);
  }
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
