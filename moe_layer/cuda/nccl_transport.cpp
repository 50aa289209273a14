#include "moe_layer/cuda/nccl_transport.hpp"

#include <fmt/format.h>
#include <nccl.h>

#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/row_parts.hpp"

namespace gembench::inline cuda {
namespace {

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

/// A communicator of all ranks.
class Nccl {
 public:
  explicit Nccl(const LinkEnds& ends);
  ~Nccl();
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  void meet_everyone(cudaStream_t stream);
  void exchange(cudaStream_t stream, std::span<const RowExchange> parts);
  void send_weights(cudaStream_t stream, std::span<const Message> sends,
                    std::span<const Message> receives);
  void look();
  void abort();

 private:
  const Comm& comm_;
  Whereabouts& at_;
  ncclComm_t nccl_ = nullptr;
  Buffer greetings_, greeted_;  // of meet_everyone(), whose messages may still be under way
};

Nccl::Nccl(const LinkEnds& ends) : comm_(ends.comm), at_(ends.at) {
  ncclUniqueId id{};
  if (comm_.rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId", at_);
  std::vector<ncclUniqueId> shared{id};
  comm_.broadcast(shared);
  check(ncclCommInitRank(&nccl_, comm_.size(), shared[0], comm_.rank()), "ncclCommInitRank", at_);
}

Nccl::~Nccl() {
  // An error of this rank leaves the others in the middle of something: no orderly end then.
  if (std::uncaught_exceptions() > 0) {
    abort();
  } else if (nccl_ != nullptr) {
    static_cast<void>(ncclCommDestroy(nccl_));
  }
}

void Nccl::abort() {
  if (nccl_ != nullptr) static_cast<void>(ncclCommAbort(std::exchange(nccl_, nullptr)));
}

/// Else two ranks would meet in the first step in which one has rows for the other, which takes
/// milliseconds, and memory that nobody counted.
void Nccl::meet_everyone(cudaStream_t stream) {
  constexpr std::size_t kGreeting = 16;  // bytes
  const std::size_t ranks = sz(comm_.size());
  greetings_ = device_memory(ranks * kGreeting, at_);
  greeted_ = device_memory(ranks * kGreeting, at_);
  check(cudaMemsetAsync(greetings_.as<void>(), 0, greetings_.bytes(), stream), "cudaMemsetAsync",
        at_);
  std::vector<Message> sends, receives;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (static_cast<int>(rank) == comm_.rank()) continue;
    const std::size_t at = rank * kGreeting;
    sends.push_back({greetings_.as<char>() + at, kGreeting, static_cast<int>(rank), 0});
    receives.push_back({greeted_.as<char>() + at, kGreeting, static_cast<int>(rank), 0});
  }
  send_weights(stream, sends, receives);
}

void Nccl::exchange(cudaStream_t stream, std::span<const RowExchange> parts) {
  copy_own_rows(stream, parts, at_);
  Group group(at_);
  const int own = comm_.rank();
  for (const RowExchange& part : parts) {
    for_each_other_rank(
        part.send_rows, part.row_bytes, own, [&](int rank, std::size_t at, std::size_t bytes) {
          group.add(ncclSend(part.send->as<char>() + at, bytes, ncclInt8, rank, nccl_, stream),
                    "ncclSend");
        });
    for_each_other_rank(
        part.recv_rows, part.row_bytes, own, [&](int rank, std::size_t at, std::size_t bytes) {
          group.add(ncclRecv(part.recv->as<char>() + at, bytes, ncclInt8, rank, nccl_, stream),
                    "ncclRecv");
        });
  }
  group.end();
}

void Nccl::send_weights(cudaStream_t stream, std::span<const Message> sends,
                        std::span<const Message> receives) {
  Group group(at_);
  for (const Message& m : sends) {
    group.add(ncclSend(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream), "ncclSend");
  }
  for (const Message& m : receives) {
    group.add(ncclRecv(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream), "ncclRecv");
  }
  group.end();
}

/// NCCL's kernels wait forever for a lost rank.
void Nccl::look() {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(nccl_, &state), "ncclCommGetAsyncError", at_);
  check(state, "NCCL", at_);
}

}  // namespace

std::string nccl_version() {
  int version = 0;
  static_cast<void>(ncclGetVersion(&version));
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string nccl_words() {
  return fmt::format("NCCL {}", nccl_version());
}

Link connect_nccl(const LinkEnds& ends, cudaStream_t stream) {
  const auto nccl = std::make_shared<Nccl>(ends);
  ends.at.on_error = [held = std::weak_ptr(nccl)] {
    if (const auto alive = held.lock()) alive->abort();
  };
  nccl->meet_everyone(stream);
  return {.exchange = [nccl](auto on, auto parts) { nccl->exchange(on, parts); },
          .send_weights = [nccl](auto on, auto sends,
                                 auto receives) { nccl->send_weights(on, sends, receives); },
          .look = [nccl] { nccl->look(); }};
}

}  // namespace gembench::inline cuda
