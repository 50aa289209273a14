#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/dispatch/row_exchange.hpp"
#include "moe_layer/mpi/topology.hpp"
#include "placement/cost/placement.hpp"

namespace gembench::inline dispatch {

/// The destinations that hierarchical dispatch uses for a rank's tokens: locations
/// ([layer][expert], any layers) as seen by `rank`, where a whole node is one destination. A
/// location's rank becomes the forwarder of its node, its slot counts over that node: local rank *
/// slots + slot.
[[nodiscard]] std::vector<Location> by_node(std::span<const Location> locations,
                                            const Topology& topology, int rank, int slots);

/// The most rows that pass through a rank in one layer, if no rank has more than `tokens` tokens.
struct ForwardLimits {
  std::int64_t received = 0;  ///< from the ranks it forwards for
  std::int64_t sent = 0;      ///< on to the ranks of its node
};
[[nodiscard]] ForwardLimits forwarded_at_most(const Topology& topology, int rank, int tokens,
                                              int topk);
/// Device bytes that a Forwarding of these limits holds.
[[nodiscard]] std::size_t forwarding_bytes(const ForwardLimits& limits, int hidden, int topk,
                                           std::size_t row_bytes);

/// The forwarding step of hierarchical dispatch (after DeepSeek's DeepEP, which sends a token over
/// the network once per node): this rank receives rows for its node, forwards every row to each
/// rank of the node that has an expert for it, and sums the results. Owns the buffers for that;
/// nothing allocates afterwards.
class Forwarding {
 public:
  /// Local. Of a device with forwarding(). `tokens`: those of the rank that has most, as of
  /// forwarded_at_most.
  Forwarding(const Comm& comm, const Topology& topology, Device& device, const ModelShape& model,
             int tokens);

  /// Where the first hop puts its pairs and rows.
  [[nodiscard]] Buffer& pairs() { return pairs_; }
  [[nodiscard]] Buffer& rows() { return rows_; }
  /// Collective: from the first hop to the second, which ends in `recv_pairs` and `recv_rows`.
  void forward(Stream stream, const Hop& first, Hop& second, int slots, Buffer& recv_pairs,
               Buffer& recv_rows);
  /// Collective: results from the end of the second hop back to the start of the first.
  void back(Stream stream, const Hop& first, const Hop& second, const Buffer& results,
            Buffer& returned);

 private:
  const Comm& comm_;
  Device& device_;
  DeviceForwarding& on_device_;
  std::span<const int> node_ranks_;
  std::size_t row_bytes_;
  Buffer rows_, pairs_;               // as received
  Buffer sent_rows_, sent_pairs_;     // as sent on
  Buffer row_source_;                 // i32 [sent row] received row
  Buffer returned_, sums_, results_;  // on the way back
};

}  // namespace gembench::inline dispatch
