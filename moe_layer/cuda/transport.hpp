#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/cuda/spans.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// How device memory gets to other ranks: NCCL on the stream; or MPI from the host, which waits for
/// the stream, with device addresses if MPI accepts them, else through pinned memory.
class Transport {
 public:
  enum class Kind { nccl, cuda_aware_mpi, staged_mpi };

  /// `spans` are not those of the time in which MPI sends.
  Transport(const Comm& comm, Kind kind, Spans& spans, Whereabouts& at);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// `asked`: "nccl", "mpi", or "auto", which is NCCL.
  [[nodiscard]] static Kind kind_of(const std::string& asked, bool mpi_is_cuda_aware);
  /// Collective. What the first message between two ranks costs is spent here: NCCL connects them
  /// only then; MPI is tried with device addresses, where it says that it takes them.
  void connect(cudaStream_t stream);
  /// Room for the largest exchange, in bytes, of all its parts.
  void prepare(std::size_t most_sent, std::size_t most_received);
  [[nodiscard]] std::string name() const;
  [[nodiscard]] static std::string nccl_version();

  /// Whether the host takes part in an exchange, so that a graph cannot hold it.
  [[nodiscard]] bool host_sends() const { return kind_ != Kind::nccl; }
  void exchange(cudaStream_t stream, std::span<const RowExchange> parts);
  void send_weights(cudaStream_t stream, std::span<const Message> sends,
                    std::span<const Message> receives);
  // Wait, and throw if another rank or the network fails during the wait.
  void synchronize(cudaStream_t stream);
  void wait_for(cudaEvent_t event);

 private:
  void meet_everyone(cudaStream_t stream);
  void exchange_by_nccl(cudaStream_t stream, std::span<const RowExchange> parts);
  void exchange_by_mpi(cudaStream_t stream, std::span<const RowExchange> parts);
  void copy_own_rows(cudaStream_t stream, std::span<const RowExchange> parts);
  void copy(cudaStream_t stream, void* to, const void* from, std::size_t bytes);
  void abort();
  /// Whether a wait has to check other ranks too: NCCL's kernels wait forever for a lost rank.
  [[nodiscard]] bool polls() const { return kind_ == Kind::nccl && comm_.size() > 1; }
  template <class Query>
  void poll(Query&& query, const char* call);

  const Comm& comm_;
  Whereabouts& at_;
  Spans& spans_;
  Kind kind_;
  ncclComm_t nccl_ = nullptr;
  Buffer sent_, received_;  // pinned, of staged_mpi
  std::vector<Message> sends_, receives_;
};

using SendAndReceive = std::function<void(std::span<const Message>, std::span<const Message>)>;

/// Collective: device memory goes round the ranks by `exchange`; environment error if other bytes
/// arrive.
void require_device_addresses(const Comm& comm, const SendAndReceive& exchange, cudaStream_t stream,
                              Whereabouts& at);

}  // namespace gembench::inline cuda
