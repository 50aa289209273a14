#include "moe_layer/mpi/comm.hpp"

#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <numeric>
#include <stdexcept>

#include "moe_layer/mpi/short_version.hpp"

namespace gembench::inline mpi {

namespace {

int as_int(std::size_t value) {
  return static_cast<int>(value);
}

/// Bytes as a count that fits int: whole units of this size plus a rest.
constexpr std::size_t kUnit = std::size_t{1} << 20;

}  // namespace

struct Comm::State {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Datatype unit = MPI_DATATYPE_NULL;          // kUnit bytes, for large messages
  std::map<std::size_t, MPI_Datatype> row_types;  // by row size, made once

  State() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    unit = type_of(kUnit);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized || std::uncaught_exceptions() > 0) return;
    for (auto& [bytes, type] : row_types) MPI_Type_free(&type);
    MPI_Comm_free(&comm);
  }
  MPI_Datatype type_of(std::size_t bytes) {
    auto [place, added] = row_types.try_emplace(bytes, MPI_DATATYPE_NULL);
    if (added) {
      MPI_Type_contiguous(as_int(bytes), MPI_BYTE, &place->second);
      MPI_Type_commit(&place->second);
    }
    return place->second;
  }
};

Comm::Comm(std::shared_ptr<State> state) : state_(std::move(state)) {
  MPI_Comm_rank(state_->comm, &rank_);
  MPI_Comm_size(state_->comm, &size_);
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(state_->comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &node_rank_);
  MPI_Comm_size(node, &node_size_);
  int first = rank_;
  MPI_Bcast(&first, 1, MPI_INT, 0, node);
  MPI_Comm_free(&node);
  node_of_.resize(static_cast<std::size_t>(size_));
  MPI_Allgather(&first, 1, MPI_INT, node_of_.data(), 1, MPI_INT, state_->comm);
}

Comm Comm::world() {
  return Comm(std::make_shared<State>());
}

Comm Comm::simulated(int ranks) {
  Comm comm;
  comm.size_ = comm.node_size_ = ranks;
  comm.node_of_.resize(static_cast<std::size_t>(ranks));
  return comm;
}

Comm::State& Comm::ranks_there() const {
  if (is_simulated()) throw std::logic_error("simulated ranks exchange no rows");
  return *state_;
}

void Comm::barrier() const {
  if (!is_simulated()) MPI_Barrier(state_->comm);
}

double Comm::max(double value) const {
  if (is_simulated()) return value;
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, state_->comm);
  return value;
}

std::int64_t Comm::min(std::int64_t value) const {
  if (is_simulated()) return value;
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MIN, state_->comm);
  return value;
}

std::int64_t Comm::sum(std::int64_t value) const {
  sum_in_place({&value, 1});
  return value;
}

void Comm::sum_in_place(std::span<std::int64_t> values) const {
  if (is_simulated()) {
    for (std::int64_t& value : values) value *= size_;
    return;
  }
  MPI_Allreduce(MPI_IN_PLACE, values.data(), as_int(values.size()), MPI_INT64_T, MPI_SUM,
                state_->comm);
}

void Comm::broadcast(std::string& text) const {
  std::vector<char> bytes(text.begin(), text.end());
  broadcast(bytes);
  text.assign(bytes.begin(), bytes.end());
}

void Comm::broadcast_bytes(void* data, std::size_t bytes) const {
  if (is_simulated()) return;
  auto* at = static_cast<char*>(data);
  MPI_Bcast(at, as_int(bytes / kUnit), state_->unit, 0, state_->comm);
  MPI_Bcast(at + bytes / kUnit * kUnit, as_int(bytes % kUnit), MPI_BYTE, 0, state_->comm);
}

void Comm::gather_bytes(const void* data, std::size_t bytes, void* all) const {
  if (bytes == 0) return;
  if (is_simulated()) {
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(size_); ++rank) {
      std::memcpy(static_cast<char*>(all) + rank * bytes, data, bytes);
    }
    return;
  }
  const MPI_Datatype row = state_->type_of(bytes);
  MPI_Gather(data, 1, row, all, 1, row, 0, state_->comm);
}

std::vector<std::string> Comm::gather(const std::string& text) const {
  if (is_simulated()) return std::vector<std::string>(static_cast<std::size_t>(size_), text);
  const int mine = as_int(text.size());
  const std::vector<int> sizes = gather(std::span<const int>(&mine, 1));
  std::vector<int> offsets(sizes.size(), 0);
  if (rank_ == 0) std::exclusive_scan(sizes.begin(), sizes.end(), offsets.begin(), 0);
  std::string joined(static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), 0)),
                     '\0');
  MPI_Gatherv(text.data(), mine, MPI_CHAR, joined.data(), sizes.data(), offsets.data(), MPI_CHAR, 0,
              state_->comm);
  std::vector<std::string> all;
  for (std::size_t r = 0; r < sizes.size(); ++r) {
    all.push_back(
        joined.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(sizes[r])));
  }
  return all;
}

void Comm::all_gather(std::span<const std::int32_t> mine, std::span<std::int32_t> all) const {
  const int each = as_int(mine.size());
  MPI_Allgather(mine.data(), each, MPI_INT32_T, all.data(), each, MPI_INT32_T, ranks_there().comm);
}

void Comm::all_to_all(std::span<const std::int32_t> send, std::span<std::int32_t> recv) const {
  const int each = as_int(send.size()) / size_;
  MPI_Alltoall(send.data(), each, MPI_INT32_T, recv.data(), each, MPI_INT32_T, ranks_there().comm);
}

void Comm::all_to_all_rows(const void* send, std::span<const std::int32_t> send_rows, void* recv,
                           std::span<const std::int32_t> recv_rows, std::size_t row_bytes) const {
  // Thread-local so that no call allocates once the sizes have been seen.
  thread_local std::vector<int> counts;
  const auto ranks = static_cast<std::size_t>(size_);
  const auto self = static_cast<std::size_t>(rank_);
  counts.resize(4 * ranks);
  int* const send_count = counts.data();
  int* const send_at = send_count + ranks;
  int* const recv_count = send_at + ranks;
  int* const recv_at = recv_count + ranks;
  std::copy(send_rows.begin(), send_rows.end(), send_count);
  std::copy(recv_rows.begin(), recv_rows.end(), recv_count);
  std::exclusive_scan(send_count, send_count + ranks, send_at, 0);
  std::exclusive_scan(recv_count, recv_count + ranks, recv_at, 0);

  if (send_count[self] > 0) {
    std::memcpy(
        static_cast<char*>(recv) + static_cast<std::size_t>(recv_at[self]) * row_bytes,
        static_cast<const char*>(send) + static_cast<std::size_t>(send_at[self]) * row_bytes,
        static_cast<std::size_t>(send_count[self]) * row_bytes);
  }
  send_count[self] = recv_count[self] = 0;
  State& there = ranks_there();
  const MPI_Datatype row = there.type_of(row_bytes);
  MPI_Alltoallv(send, send_count, send_at, row, recv, recv_count, recv_at, row, there.comm);
}

void Comm::exchange(std::span<const Message> sends, std::span<const Message> receives) const {
  const State& there = ranks_there();
  std::vector<MPI_Request> requests;
  requests.reserve(2 * (sends.size() + receives.size()));
  const auto post = [&](const Message& message, auto start) {
    auto* at = static_cast<char*>(message.data);
    const std::size_t units = message.bytes / kUnit;
    if (units > 0) {
      start(at, as_int(units), there.unit, message.peer, message.tag, there.comm,
            &requests.emplace_back());
    }
    start(at + units * kUnit, as_int(message.bytes % kUnit), MPI_BYTE, message.peer, message.tag,
          there.comm, &requests.emplace_back());
  };
  for (const Message& message : receives) post(message, MPI_Irecv);
  for (const Message& message : sends) post(message, MPI_Isend);
  MPI_Waitall(as_int(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

struct NodeMemory::Window {
  MPI_Win win = MPI_WIN_NULL;
};

NodeMemory::NodeMemory(const Comm& comm, std::size_t bytes) : window_(std::make_unique<Window>()) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(comm.ranks_there().comm, MPI_COMM_TYPE_SHARED, comm.rank(), MPI_INFO_NULL,
                      &node);
  const bool owner = comm.node_rank() == 0;
  MPI_Win_allocate_shared(owner ? static_cast<MPI_Aint>(bytes) : 0, 1, MPI_INFO_NULL, node, &data_,
                          &window_->win);
  MPI_Aint size = 0;
  int unit = 0;
  MPI_Win_shared_query(window_->win, 0, &size, &unit, &data_);
  MPI_Comm_free(&node);
}

NodeMemory::~NodeMemory() {
  if (std::uncaught_exceptions() == 0) MPI_Win_free(&window_->win);
}

MpiSession::MpiSession(int& argc, char**& argv) {
  MPI_Init(&argc, &argv);
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() == 0) MPI_Finalize();
}

void MpiSession::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

std::string MpiSession::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  return short_version({text, static_cast<std::size_t>(length)});
}

bool MpiSession::is_cuda_aware() {
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
  return MPIX_Query_cuda_support() == 1;
#else
  return false;
#endif
}

}  // namespace gembench::inline mpi
