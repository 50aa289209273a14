#include "moe_layer/cuda/transport.hpp"

#include <fmt/format.h>

#include <exception>
#include <numeric>
#include <utility>

#include "moe_layer/cuda/memory.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kGreeting = 16;  // bytes

std::size_t sum(std::span<const std::int32_t> rows) {
  return std::accumulate(rows.begin(), rows.end(), std::size_t{0});
}

/// Calls visit(rank, offset in bytes, bytes) for every rank that has rows.
template <class F>
void for_each_rank(std::span<const std::int32_t> rows, std::size_t row_bytes, F&& visit) {
  std::size_t at = 0;
  for (std::size_t rank = 0; rank < rows.size(); ++rank) {
    const std::size_t bytes = sz(rows[rank]) * row_bytes;
    if (bytes > 0) visit(static_cast<int>(rank), at, bytes);
    at += bytes;
  }
}

/// A group of NCCL's calls. An error is thrown when the group has ended: thrown before, it would
/// leave the group open, and ncclCommAbort would be one of its calls.
class Group {
 public:
  explicit Group(Whereabouts& at) : at_(at) { check(ncclGroupStart(), "ncclGroupStart", at_); }
  void add(ncclResult_t result, const char* call) {
    if (first_ != ncclSuccess) return;
    first_ = result;
    call_ = call;
  }
  void end() {
    const ncclResult_t ended = ncclGroupEnd();
    check(first_, call_, at_);
    check(ended, "ncclGroupEnd", at_);
  }

 private:
  Whereabouts& at_;
  ncclResult_t first_ = ncclSuccess;  // that is none
  const char* call_ = "";
};

}  // namespace

Transport::Transport(const Comm& comm, Kind kind, Spans& spans, Whereabouts& at)
    : comm_(comm), at_(at), spans_(spans), kind_(kind) {}

Transport::~Transport() {
  // An error of this rank leaves the others in the middle of something: no orderly end then.
  if (std::uncaught_exceptions() > 0) {
    abort();
  } else if (nccl_ != nullptr) {
    static_cast<void>(ncclCommDestroy(nccl_));
  }
}

Transport::Kind Transport::kind_of(const std::string& asked, bool mpi_is_cuda_aware) {
  if (asked != "mpi") return Kind::nccl;
  return mpi_is_cuda_aware ? Kind::cuda_aware_mpi : Kind::staged_mpi;
}

void Transport::abort() {
  if (nccl_ != nullptr) static_cast<void>(ncclCommAbort(std::exchange(nccl_, nullptr)));
}

void Transport::connect(cudaStream_t stream) {
  if (kind_ == Kind::cuda_aware_mpi) {
    const auto by_mpi = [this](auto sends, auto receives) { comm_.exchange(sends, receives); };
    require_device_addresses(comm_, by_mpi, stream, at_);
  }
  if (kind_ != Kind::nccl) return;
  ncclUniqueId id{};
  if (comm_.rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId", at_);
  std::vector<ncclUniqueId> shared{id};
  comm_.broadcast(shared);
  check(ncclCommInitRank(&nccl_, comm_.size(), shared[0], comm_.rank()), "ncclCommInitRank", at_);
  at_.on_error = [this] { abort(); };
  meet_everyone(stream);
}

/// Else two ranks would meet in the first step in which one has rows for the other, which takes
/// milliseconds, and memory that nobody counted.
void Transport::meet_everyone(cudaStream_t stream) {
  const std::size_t ranks = sz(comm_.size());
  const Buffer sent = device_memory(ranks * kGreeting, at_);
  const Buffer received = device_memory(ranks * kGreeting, at_);
  check(cudaMemsetAsync(sent.as<void>(), 0, sent.bytes(), stream), "cudaMemsetAsync", at_);
  std::vector<Message> sends, receives;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (static_cast<int>(rank) == comm_.rank()) continue;
    const std::size_t at = rank * kGreeting;
    sends.push_back({sent.as<char>() + at, kGreeting, static_cast<int>(rank), 0});
    receives.push_back({received.as<char>() + at, kGreeting, static_cast<int>(rank), 0});
  }
  send_weights(stream, sends, receives);
}

void require_device_addresses(const Comm& comm, const SendAndReceive& exchange, cudaStream_t stream,
                              Whereabouts& at) {
  const int right = (comm.rank() + 1) % comm.size();
  const int left = (comm.rank() + comm.size() - 1) % comm.size();
  const auto greeting = [](int rank) {
    return std::vector<char>(kGreeting, static_cast<char>(1 + rank % 100));
  };
  const std::vector<char> mine = greeting(comm.rank());
  std::vector<char> got(kGreeting);
  Buffer out = device_memory(kGreeting, at), in = device_memory(kGreeting, at);
  const auto copy = [&](void* to, const void* from) {
    check(cudaMemcpyAsync(to, from, kGreeting, cudaMemcpyDefault, stream), "cudaMemcpyAsync", at);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at);
  };
  copy(out.as<void>(), mine.data());
  copy(in.as<void>(), got.data());
  const Message send{out.as<char>(), kGreeting, right, 0};
  const Message receive{in.as<char>(), kGreeting, left, 0};
  exchange({&send, 1}, {&receive, 1});
  copy(got.data(), in.as<void>());
  if (got == greeting(left)) return;
  throw Error(ExitCode::environment,
              fmt::format("rank {} sent memory of GPU {} by MPI, which says that it takes it, and "
                          "rank {} has received other bytes: use --transport nccl, or an MPI that "
                          "was built with CUDA",
                          left, at.gpu, comm.rank()));
}

void Transport::prepare(std::size_t most_sent, std::size_t most_received) {
  if (kind_ != Kind::staged_mpi) return;
  sent_ = pinned_memory(most_sent, at_);
  received_ = pinned_memory(most_received, at_);
}

std::string Transport::name() const {
  switch (kind_) {
    case Kind::nccl:
      return "NCCL " + nccl_version();
    case Kind::cuda_aware_mpi:
      return "CUDA-aware MPI";
    case Kind::staged_mpi:
      return "MPI through pinned host memory";
  }
  return {};
}

std::string Transport::nccl_version() {
  int version = 0;
  static_cast<void>(ncclGetVersion(&version));
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

void Transport::copy(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "cudaMemcpyAsync", at_);
}

void Transport::copy_own_rows(cudaStream_t stream, std::span<const RowExchange> parts) {
  const std::size_t self = sz(comm_.rank());
  for (const RowExchange& part : parts) {
    const std::size_t bytes = sz(part.send_rows[self]) * part.row_bytes;
    if (bytes == 0) continue;
    copy(stream, part.recv->as<char>() + sum(part.recv_rows.first(self)) * part.row_bytes,
         part.send->as<char>() + sum(part.send_rows.first(self)) * part.row_bytes, bytes);
  }
}

void Transport::exchange(cudaStream_t stream, std::span<const RowExchange> parts) {
  kind_ == Kind::nccl ? exchange_by_nccl(stream, parts) : exchange_by_mpi(stream, parts);
}

void Transport::exchange_by_nccl(cudaStream_t stream, std::span<const RowExchange> parts) {
  copy_own_rows(stream, parts);
  Group group(at_);
  for (const RowExchange& part : parts) {
    for_each_rank(part.send_rows, part.row_bytes, [&](int rank, std::size_t at, std::size_t bytes) {
      if (rank == comm_.rank()) return;
      group.add(ncclSend(part.send->as<char>() + at, bytes, ncclInt8, rank, nccl_, stream),
                "ncclSend");
    });
    for_each_rank(part.recv_rows, part.row_bytes, [&](int rank, std::size_t at, std::size_t bytes) {
      if (rank == comm_.rank()) return;
      group.add(ncclRecv(part.recv->as<char>() + at, bytes, ncclInt8, rank, nccl_, stream),
                "ncclRecv");
    });
  }
  group.end();
}

void Transport::exchange_by_mpi(cudaStream_t stream, std::span<const RowExchange> parts) {
  const bool staged = kind_ == Kind::staged_mpi;
  copy_own_rows(stream, parts);
  sends_.clear();
  receives_.clear();
  char* out = sent_.as<char>();
  char* in = received_.as<char>();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const RowExchange& part = parts[i];
    const auto add = [&](std::vector<Message>& messages, char* base) {
      return [&messages, base, i, this](int rank, std::size_t at, std::size_t bytes) {
        if (rank == comm_.rank()) return;
        messages.push_back({base + at, bytes, rank, static_cast<int>(i)});
      };
    };
    char* const from = staged ? out : part.send->as<char>();
    char* const to = staged ? in : part.recv->as<char>();
    for_each_rank(part.send_rows, part.row_bytes, add(sends_, from));
    for_each_rank(part.recv_rows, part.row_bytes, add(receives_, to));
    if (!staged) continue;
    const std::size_t bytes = sum(part.send_rows) * part.row_bytes;
    if (bytes > 0) copy(stream, out, part.send->as<char>(), bytes);
    out += bytes;
    in += sum(part.recv_rows) * part.row_bytes;
  }
  spans_.close(stream);
  synchronize(stream);  // what is sent must be there
  comm_.exchange(sends_, receives_);
  if (!staged) return;
  spans_.open(stream);
  in = received_.as<char>();
  for (const RowExchange& part : parts) {
    for_each_rank(part.recv_rows, part.row_bytes, [&](int rank, std::size_t at, std::size_t bytes) {
      if (rank != comm_.rank()) copy(stream, part.recv->as<char>() + at, in + at, bytes);
    });
    in += sum(part.recv_rows) * part.row_bytes;
  }
}

void Transport::send_weights(cudaStream_t stream, std::span<const Message> sends,
                             std::span<const Message> receives) {
  if (kind_ == Kind::cuda_aware_mpi) {
    comm_.exchange(sends, receives);
    return;
  }
  if (kind_ == Kind::nccl) {
    Group group(at_);
    for (const Message& m : sends) {
      group.add(ncclSend(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream), "ncclSend");
    }
    for (const Message& m : receives) {
      group.add(ncclRecv(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream), "ncclRecv");
    }
    group.end();
    synchronize(stream);
    return;
  }
  const auto staged = [&](std::span<const Message> messages, std::vector<std::vector<char>>& host) {
    std::vector<Message> through(messages.begin(), messages.end());
    for (Message& m : through) m.data = host.emplace_back(m.bytes).data();
    return through;
  };
  std::vector<std::vector<char>> out, in;
  const auto host_sends = staged(sends, out), host_receives = staged(receives, in);
  for (std::size_t i = 0; i < sends.size(); ++i) {
    copy(stream, host_sends[i].data, sends[i].data, sends[i].bytes);
  }
  synchronize(stream);
  comm_.exchange(host_sends, host_receives);
  for (std::size_t i = 0; i < receives.size(); ++i) {
    copy(stream, receives[i].data, host_receives[i].data, receives[i].bytes);
  }
  synchronize(stream);
}

void Transport::synchronize(cudaStream_t stream) {
  if (polls()) return poll([&] { return cudaStreamQuery(stream); }, "cudaStreamQuery");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
}

void Transport::wait_for(cudaEvent_t event) {
  if (polls()) return poll([&] { return cudaEventQuery(event); }, "cudaEventQuery");
  check(cudaEventSynchronize(event), "cudaEventSynchronize", at_);
}

template <class Query>
void Transport::poll(Query&& query, const char* call) {
  constexpr int kQueriesBetween = 256;  // looks at the communicator
  for (int queries = 1;; ++queries) {
    const cudaError_t result = query();
    if (result == cudaSuccess) return;
    if (result != cudaErrorNotReady) check(result, call, at_);
    if (queries % kQueriesBetween != 0) continue;
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(nccl_, &state), "ncclCommGetAsyncError", at_);
    check(state, "NCCL", at_);
  }
}

}  // namespace gembench::inline cuda
