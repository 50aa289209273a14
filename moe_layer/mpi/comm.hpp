#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace gembench::inline mpi {

/// One message between two ranks; `data` belongs to the caller until exchange() returns.
struct Message {
  void* data = nullptr;
  std::size_t bytes = 0;
  int peer = 0;
  int tag = 0;
};

class NodeMemory;

/// A communicator (owner: this object; MPI_COMM_WORLD is duplicated). MPI errors abort the job
/// (MPI's default handler), so no call here reports one. Nothing outside moe_layer/ sees MPI.
class Comm {
 public:
  /// All ranks. MPI must be running (see MpiSession).
  static Comm world();
  /// Ranks that are not there, all on one node, for planning and sizes: this process is rank 0, and
  /// every collective returns what it would if all ranks gave the same. What sends rows between
  /// ranks is a mistake in the program (std::logic_error). Needs no MPI.
  static Comm simulated(int ranks);
  [[nodiscard]] bool is_simulated() const { return state_ == nullptr; }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  /// Rank and size within the ranks that share this rank's memory (the node).
  [[nodiscard]] int node_rank() const { return node_rank_; }
  [[nodiscard]] int node_size() const { return node_size_; }
  /// [rank] the lowest rank that shares its memory: the same number on all ranks of a node.
  [[nodiscard]] const std::vector<int>& node_of() const { return node_of_; }

  void barrier() const;
  [[nodiscard]] double max(double value) const;
  [[nodiscard]] std::int64_t min(std::int64_t value) const;
  [[nodiscard]] std::int64_t sum(std::int64_t value) const;
  void sum_in_place(std::span<std::int64_t> values) const;

  /// Root's bytes to everyone; sizes may differ before the call.
  void broadcast(std::string& text) const;
  template <class T>
  void broadcast(std::vector<T>& values) const {
    static_assert(std::is_trivially_copyable_v<T>);
    std::int64_t size = static_cast<std::int64_t>(values.size());
    broadcast_bytes(&size, sizeof size);
    values.resize(static_cast<std::size_t>(size));
    broadcast_bytes(values.data(), values.size() * sizeof(T));
  }

  /// [rank][i] on rank 0, empty elsewhere. Every rank gives the same number of values.
  template <class T>
  [[nodiscard]] std::vector<T> gather(std::span<const T> values) const {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(rank_ == 0 ? values.size() * static_cast<std::size_t>(size_) : 0);
    gather_bytes(values.data(), values.size_bytes(), all.data());
    return all;
  }
  [[nodiscard]] std::vector<std::string> gather(const std::string& text) const;

  /// Each rank gives as many numbers; everyone gets them all, [rank][i].
  void all_gather(std::span<const std::int32_t> mine, std::span<std::int32_t> all) const;
  /// Each rank gives `recv.size() / size()` numbers to every rank.
  void all_to_all(std::span<const std::int32_t> send, std::span<std::int32_t> recv) const;

  /// Rows to and from every rank, counted in rows so that bytes beyond 2 GiB do not overflow int;
  /// rows for rank r lie behind those for r - 1. A rank's rows for itself are copied, not sent.
  void all_to_all_rows(const void* send, std::span<const std::int32_t> send_rows, void* recv,
                       std::span<const std::int32_t> recv_rows, std::size_t row_bytes) const;

  /// Sends and receives all messages, any order, and waits for them. Messages may exceed 2 GiB.
  void exchange(std::span<const Message> sends, std::span<const Message> receives) const;

 private:
  friend class NodeMemory;
  struct State;
  Comm() = default;
  explicit Comm(std::shared_ptr<State> state);
  [[nodiscard]] State& ranks_there() const;
  void broadcast_bytes(void* data, std::size_t bytes) const;
  void gather_bytes(const void* data, std::size_t bytes, void* all) const;

  std::shared_ptr<State> state_;  ///< none: simulated
  int rank_ = 0;
  int size_ = 1;
  int node_rank_ = 0;
  int node_size_ = 1;
  std::vector<int> node_of_;
};

/// Memory that all ranks of a node see, from construction to destruction, both collective. Nothing
/// of it outlives the processes, however they end.
class NodeMemory {
 public:
  NodeMemory(const Comm& comm, std::size_t bytes);
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;
  [[nodiscard]] void* data() const { return data_; }

 private:
  struct Window;
  std::unique_ptr<Window> window_;
  void* data_ = nullptr;
};

/// MPI from construction to destruction. Not finalised while an exception passes through: the other
/// ranks may be waiting in MPI and finalising would hang; the caller aborts instead.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// Ends every rank with this exit code, at once.
  [[noreturn]] static void abort(int exit_code);
  /// "Open MPI v4.1.4", "MPICH 4.2.1": without starting MPI.
  [[nodiscard]] static std::string library_version();
  /// Whether this MPI takes addresses of GPU memory, as far as it says.
  [[nodiscard]] static bool is_cuda_aware();
};

}  // namespace gembench::inline mpi
