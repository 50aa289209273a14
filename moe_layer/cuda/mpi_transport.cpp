#include "moe_layer/cuda/mpi_transport.hpp"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/row_parts.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cuda {
namespace {

/// What MPI sends and receives; memory and messages are used again.
class MpiLink {
 public:
  MpiLink(const LinkEnds& ends, bool staged)
      : comm_(ends.comm), spans_(ends.spans), at_(ends.at), staged_(staged) {}

  void prepare(std::size_t most_sent, std::size_t most_received) {
    sent_ = pinned_memory(most_sent, at_);
    received_ = pinned_memory(most_received, at_);
  }
  void exchange(cudaStream_t stream, std::span<const RowExchange> parts);

 private:
  const Comm& comm_;
  Spans& spans_;
  Whereabouts& at_;
  bool staged_;
  Buffer sent_, received_;  // pinned, if staged
  std::vector<Message> sends_, receives_;
};

void wait_for_stream(cudaStream_t stream, Whereabouts& at) {
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at);
}

void MpiLink::exchange(cudaStream_t stream, std::span<const RowExchange> parts) {
  copy_own_rows(stream, parts, at_);
  sends_.clear();
  receives_.clear();
  const int own = comm_.rank();
  char* out = sent_.as<char>();
  char* in = received_.as<char>();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const RowExchange& part = parts[i];
    const auto add = [i](std::vector<Message>& messages, char* base) {
      return [&messages, base, i](int rank, std::size_t at, std::size_t bytes) {
        messages.push_back({base + at, bytes, rank, static_cast<int>(i)});
      };
    };
    char* const from = staged_ ? out : part.send->as<char>();
    char* const to = staged_ ? in : part.recv->as<char>();
    for_each_other_rank(part.send_rows, part.row_bytes, own, add(sends_, from));
    for_each_other_rank(part.recv_rows, part.row_bytes, own, add(receives_, to));
    if (!staged_) continue;
    const std::size_t bytes = sum_rows(part.send_rows) * part.row_bytes;
    if (bytes > 0) copy_bytes(stream, out, part.send->as<char>(), bytes, at_);
    out += bytes;
    in += sum_rows(part.recv_rows) * part.row_bytes;
  }
  spans_.close(stream);
  wait_for_stream(stream, at_);  // what is sent must be there
  comm_.exchange(sends_, receives_);
  if (!staged_) return;
  spans_.open(stream);
  in = received_.as<char>();
  for (const RowExchange& part : parts) {
    for_each_other_rank(part.recv_rows, part.row_bytes, own,
                        [&](int, std::size_t at, std::size_t bytes) {
                          copy_bytes(stream, part.recv->as<char>() + at, in + at, bytes, at_);
                        });
    in += sum_rows(part.recv_rows) * part.row_bytes;
  }
}

/// Weights through the host's memory, of their size: they are not sent in a step.
void send_through_host(const LinkEnds& ends, cudaStream_t stream, std::span<const Message> sends,
                       std::span<const Message> receives) {
  const auto staged = [&](std::span<const Message> messages, std::vector<std::vector<char>>& host) {
    std::vector<Message> through(messages.begin(), messages.end());
    for (Message& m : through) m.data = host.emplace_back(m.bytes).data();
    return through;
  };
  std::vector<std::vector<char>> out, in;
  const auto host_sends = staged(sends, out), host_receives = staged(receives, in);
  for (std::size_t i = 0; i < sends.size(); ++i) {
    copy_bytes(stream, host_sends[i].data, sends[i].data, sends[i].bytes, ends.at);
  }
  wait_for_stream(stream, ends.at);
  ends.comm.exchange(host_sends, host_receives);
  for (std::size_t i = 0; i < receives.size(); ++i) {
    copy_bytes(stream, receives[i].data, host_receives[i].data, receives[i].bytes, ends.at);
  }
  wait_for_stream(stream, ends.at);  // the host's memory ends here
}

/// One message of so many bytes from every rank to the next.
void send_round(const LinkEnds& ends, const SendAndReceive& exchange, cudaStream_t stream,
                std::size_t bytes) {
  const int rank = ends.comm.rank(), size = ends.comm.size();
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  const auto greeting = [bytes](int of) {
    constexpr std::size_t kPeriod = 97;  // no power of 2: no part can stand for another
    std::vector<char> text(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
      text[i] = static_cast<char>(1 + (sz(of) + i % kPeriod) % 100);
    }
    return text;
  };
  const std::vector<char> mine = greeting(rank);
  std::vector<char> got(bytes);
  Buffer out = device_memory(bytes, ends.at), in = device_memory(bytes, ends.at);
  const auto copy = [&](void* to, const void* from) {
    copy_bytes(stream, to, from, bytes, ends.at);
    wait_for_stream(stream, ends.at);
  };
  copy(out.as<void>(), mine.data());
  copy(in.as<void>(), got.data());
  const Message send{out.as<char>(), bytes, right, 0};
  const Message receive{in.as<char>(), bytes, left, 0};
  exchange({&send, 1}, {&receive, 1});
  copy(got.data(), in.as<void>());
  if (got == greeting(left)) return;
  throw Error(ExitCode::environment,
              fmt::format("rank {} sent memory of GPU {} by MPI, which says that it takes it, and "
                          "rank {} has received other bytes: use --transport nccl, or an MPI that "
                          "was built with CUDA",
                          left, ends.at.gpu, rank));
}

}  // namespace

void require_device_addresses(const LinkEnds& ends, const SendAndReceive& exchange,
                              cudaStream_t stream) {
  // Small ones go with the announcement, large ones after it, by other code of MPI. Where that
  // begins depends on MPI and network: 64 KiB and less, as far as we know.
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{4} << 20}) {
    send_round(ends, exchange, stream, bytes);
  }
}

std::string cuda_aware_mpi_words() {
  return "CUDA-aware MPI";
}

std::string staged_mpi_words() {
  return "MPI through pinned host memory";
}

Link connect_cuda_aware_mpi(const LinkEnds& ends, cudaStream_t stream) {
  const Comm* const comm = &ends.comm;
  const auto by_mpi = [comm](auto sends, auto receives) { comm->exchange(sends, receives); };
  require_device_addresses(ends, by_mpi, stream);
  const auto link = std::make_shared<MpiLink>(ends, false);
  return {.exchange = [link](auto on, auto parts) { link->exchange(on, parts); },
          .send_weights = [by_mpi](auto, auto sends, auto receives) { by_mpi(sends, receives); }};
}

Link connect_staged_mpi(const LinkEnds& ends, cudaStream_t) {
  const auto link = std::make_shared<MpiLink>(ends, true);
  return {.exchange = [link](auto on, auto parts) { link->exchange(on, parts); },
          .send_weights = [ends](auto on, auto sends,
                                 auto receives) { send_through_host(ends, on, sends, receives); },
          .prepare = [link](auto sent, auto received) { link->prepare(sent, received); }};
}

}  // namespace gembench::inline cuda
