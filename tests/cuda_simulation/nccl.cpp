// NCCL's sends and receives, over MPI.

#include <nccl.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

#include "tests/cuda_simulation/capture.hpp"
#include "tests/cuda_simulation/clock.hpp"
#include "tests/cuda_simulation/communicator.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::simulation {
namespace {

using Shared = std::shared_ptr<Communicator>;

struct Message {
  Shared comm;
  bool send;
  char* at;
  std::size_t bytes;
  int peer, tag;  // the tag comes when it is known what comes first
  CUstream_st* stream;
  // Of a receive that is under way; `other` holds what came with the wrong size.
  MPI_Request request = MPI_REQUEST_NULL;
  bool matched = false, complete = false;
  std::vector<char> other = {};
};

int depth = 0;
std::vector<Message> group;

std::size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
    default:
      return 0;
  }
}

std::string describe(const Message& message) {
  return std::to_string(message.bytes) + " bytes " + (message.send ? "to" : "from") + " rank " +
         std::to_string(message.peer);
}

/// Behind the bytes of a message, where the clock is virtual.
constexpr std::size_t kTimeBytes = sizeof(std::int64_t);

void append_time(std::vector<char>& bytes) {
  const std::int64_t sent = virtual_time();
  const auto* begin = reinterpret_cast<const char*>(&sent);
  bytes.insert(bytes.end(), begin, begin + kTimeBytes);
}

/// What came with a time, at its place; the time.
void take_time(Message& message) {
  std::int64_t sent = 0;
  const std::size_t bytes = message.other.size() - kTimeBytes;
  std::memcpy(&sent, message.other.data() + bytes, kTimeBytes);
  if (bytes == message.bytes) std::memcpy(message.at, message.other.data(), bytes);
  receive_time(sent);
}

/// A copy goes out, so that an abort may leave it behind.
void post_send(Message& message) {
  Communicator& comm = *message.comm;
  comm.forget_sent();
  comm.under_way.push_back({MPI_REQUEST_NULL, {message.at, message.at + message.bytes}});
  auto& sent = comm.under_way.back();
  if (is_virtual()) append_time(sent.bytes);
  MPI_Isend(sent.bytes.data(), static_cast<int>(sent.bytes.size()), MPI_BYTE,
            comm.mpi_rank[static_cast<std::size_t>(message.peer)], message.tag, comm.mpi,
            &sent.request);
}

/// True when the message is here. One of another size than expected breaks the communicator.
bool advance_receive(Message& message) {
  Communicator& comm = *message.comm;
  if (!message.matched) {
    int flag = 0;
    MPI_Message found = MPI_MESSAGE_NULL;
    MPI_Status status;
    MPI_Improbe(comm.mpi_rank[static_cast<std::size_t>(message.peer)], message.tag, comm.mpi, &flag,
                &found, &status);
    if (flag == 0) return false;
    message.matched = true;
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    char* to = message.at;
    const auto came = static_cast<std::size_t>(bytes) - (is_virtual() ? kTimeBytes : 0);
    if (came != message.bytes) {
      comm.fail(ncclInvalidUsage,
                "expected " + describe(message) + ", got " + std::to_string(came));
    }
    if (came != message.bytes || is_virtual()) {
      message.other.resize(static_cast<std::size_t>(bytes));
      to = message.other.data();
    }
    MPI_Imrecv(to, bytes, MPI_BYTE, &found, &message.request);
  }
  int flag = 0;
  MPI_Test(&message.request, &flag, MPI_STATUS_IGNORE);
  if (flag != 0 && is_virtual()) take_time(message);
  return flag != 0;
}

/// A group as work of a stream: sends go out at the first call, receives are tried at every call.
struct Exchange {
  std::vector<Message> messages;
  bool posted = false;

  Progress operator()() {
    bool complete = true;
    if (!std::exchange(posted, true)) {
      for (Message& message : messages) {
        if (message.send && !message.comm->aborted) post_send(message);
        message.complete = message.send;
      }
    }
    for (Message& message : messages) {
      if (message.complete) continue;
      message.comm->forget_sent();
      message.complete = message.comm->aborted || advance_receive(message);
      complete = complete && message.complete;
    }
    return complete ? Progress::done : Progress::waiting;
  }
};

/// The group as it runs once: from here on its messages have their places among all others.
Run exchange_of(std::vector<Message> messages) {
  // Well below the largest tag that MPI promises to take.
  constexpr int kTags = 32768;
  constexpr std::uintptr_t kUnit = 16;
  auto& count = counters();
  for (Message& message : messages) {
    Communicator& comm = *message.comm;
    auto& so_far =
        (message.send ? comm.sends : comm.receives)[static_cast<std::size_t>(message.peer)];
    message.tag = so_far++ % kTags;
    ++(message.send ? count.nccl_sends : count.nccl_receives);
    if (message.send) count.nccl_sent_bytes += static_cast<std::int64_t>(message.bytes);
    if ((reinterpret_cast<std::uintptr_t>(message.at) | message.bytes) % kUnit != 0) {
      ++count.nccl_unaligned;
    }
  }
  auto exchange = std::make_shared<Exchange>(Exchange{std::move(messages)});
  return [exchange] { return (*exchange)(); };
}

/// One piece of work on the first of the group's streams; the others wait for it, and it for them.
ncclResult_t enqueue_group(std::vector<Message> messages) {
  CUstream_st& first = *messages.front().stream;
  std::vector<CUstream_st*> others;
  for (const Message& message : messages) {
    if (message.stream == &first || std::count(others.begin(), others.end(), message.stream) > 0) {
      continue;
    }
    if (message.stream->capture != first.capture) {
      last_nccl_message() = "streams of a group must all be captured by the same graph, or none";
      say("NCCL: " + last_nccl_message());
      return ncclInvalidUsage;
    }
    others.push_back(message.stream);
  }
  for (CUstream_st* other : others) order_after(first, *other);
  const auto make = [messages = std::move(messages)] { return exchange_of(messages); };
  if (put_on(first, {Kind::exchange, "NCCL group", make}) != cudaSuccess) {
    return ncclUnhandledCudaError;
  }
  for (CUstream_st* other : others) order_after(*other, first);
  return ncclSuccess;
}

ncclResult_t add(const char* name, ncclComm_t comm, bool send, void* at, std::size_t count,
                 ncclDataType_t type, int peer, cudaStream_t stream) {
  if (const auto result = enter_nccl(name)) return result;
  if (!comm) return ncclInvalidArgument;
  Communicator& state = *comm->state;
  if (state.error != ncclSuccess) return state.error;
  auto* found = find_stream(stream);
  const std::size_t bytes = count * bytes_of(type);
  if (!found || bytes_of(type) == 0 || bytes > INT_MAX - kTimeBytes || peer < 0 ||
      peer >= state.size) {
    return ncclInvalidArgument;
  }
  if (bytes > 0 && Memory::space_of(at, bytes) == Space::pageable) {
    last_nccl_message() = "a message is not in device memory, or goes beyond its end";
    say("NCCL: " + last_nccl_message());
    return ncclInvalidArgument;
  }
  if (peer != state.rank && state.met.insert({send, peer}).second) {
    ++counters().nccl_contacts;
    static_cast<void>(first_use("peer " + std::to_string(peer)));
  }
  if (const auto result = ncclGroupStart()) return result;
  Message message{comm->state, send, static_cast<char*>(at), bytes, peer, 0, found};
  group.push_back(std::move(message));
  return ncclGroupEnd();
}

}  // namespace
}  // namespace gembench::simulation

using namespace gembench::simulation;

ncclResult_t ncclGroupStart() {
  if (depth == 0) {
    if (const auto result = enter_nccl("ncclGroupStart")) return result;
  }
  ++depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (depth == 0) return ncclInvalidUsage;
  if (--depth > 0) return ncclSuccess;
  auto messages = std::exchange(group, {});
  if (const auto result = enter_nccl("ncclGroupEnd")) return result;
  if (messages.empty()) return ncclSuccess;
  return enqueue_group(std::move(messages));
}

ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return add("ncclSend", comm, true, const_cast<void*>(from), count, type, peer, stream);
}

ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add("ncclRecv", comm, false, to, count, type, peer, stream);
}

ncclResult_t ncclMemAlloc(void** to, std::size_t bytes) {
  if (const auto result = enter_nccl("ncclMemAlloc")) return result;
  return cudaMalloc(to, bytes) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclMemFree(void* memory) {
  if (const auto result = enter_nccl("ncclMemFree")) return result;
  return cudaFree(memory) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

const char* ncclGetLastError(ncclComm_t /*comm*/) {
  return last_nccl_message().c_str();
}
