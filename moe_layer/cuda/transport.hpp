#pragma once

#include <span>
#include <string>
#include <string_view>

#include "moe_layer/cuda/link.hpp"

namespace gembench::inline cuda {

/// A way for device memory to get to other ranks.
struct TransportRow {
  std::string_view asked;    ///< by --transport
  std::string (*words)();    ///< in the run's file: name, and version if it has one
  bool own_gpu;              ///< every rank needs a GPU of its own
  bool mpi_takes_addresses;  ///< needs an MPI that takes addresses of device memory
  bool capturable;           ///< exchange can be captured into a CUDA graph: no part of the host's
  /// Collective. What the first message between two ranks costs is spent here.
  Link (*connect)(const LinkEnds& ends, cudaStream_t stream);
};

/// All of them, the preferred first.
[[nodiscard]] std::span<const TransportRow> transports();
/// `asked`: a row's, or "auto", which is the first row.
[[nodiscard]] const TransportRow& transport_for(std::string_view asked, bool mpi_takes_addresses);

/// The way between ranks of a row, and waits that notice when another rank fails.
class Transport {
 public:
  Transport(const LinkEnds& ends, const TransportRow& row) : ends_(ends), row_(row) {}
  [[nodiscard]] const TransportRow& row() const { return row_; }

  /// Collective; before all that follows.
  void connect(cudaStream_t stream);
  /// Room for the largest exchange, in bytes, of all its parts.
  void prepare(std::size_t most_sent, std::size_t most_received);
  void exchange(cudaStream_t stream, std::span<const RowExchange> parts) {
    link_.exchange(stream, parts);
  }
  /// Returns when all have arrived.
  void send_weights(cudaStream_t stream, std::span<const Message> sends,
                    std::span<const Message> receives);
  // Wait, and throw if another rank or the network fails during the wait.
  void synchronize(cudaStream_t stream);
  void wait_for(cudaEvent_t event);

 private:
  /// Whether a wait has to check other ranks too.
  [[nodiscard]] bool polls() const { return link_.look && ends_.comm.size() > 1; }
  template <class Query>
  void poll(Query&& query, const char* call);

  LinkEnds ends_;
  const TransportRow& row_;
  Link link_;
};

}  // namespace gembench::inline cuda
