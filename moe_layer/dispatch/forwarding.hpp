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

/// If no rank has more than `tokens` tokens.
[[nodiscard]] ForwardLimits forwarded_at_most(const Topology& topology, int rank, int tokens,
                                              int topk);
/// Device bytes that a Forwarding of these limits holds; what the device needs itself is in its
/// scratch_bytes().
[[nodiscard]] std::size_t forwarding_bytes(const ForwardLimits& limits, const ModelShape& model,
                                           const Device& device);

/// The forwarding step of hierarchical dispatch (after DeepSeek's DeepEP, which sends a token over
/// the network once per node): this rank receives rows for its node, forwards every row to each
/// rank of the node that has an expert for it, and sums the results. Owns the buffers for that;
/// nothing allocates afterwards.
class Forwarding {
 public:
  /// Local. Of a device with forwarding().
  Forwarding(const Comm& comm, const Topology& topology, Device& device, const ModelShape& model,
             const ForwardLimits& limits);

  /// Where the first hop puts its pairs and rows.
  [[nodiscard]] Buffer& pairs() { return pairs_; }
  [[nodiscard]] Buffer& rows() { return rows_; }
  /// Collective: from the end of the first hop to the counts of the second.
  void forward(Stream stream, const Hop& first, Hop& second, int slots);
  /// Collective: the second hop.
  void send(Stream stream, const Hop& second, Buffer& recv_pairs, Buffer& recv_rows);
  /// Collective: results from the end of the second hop back to the start of the first.
  void back(Stream stream, const Hop& first, const Hop& second, const Buffer& results,
            Buffer& returned);

 private:
  const Comm& comm_;
  Device& device_;
  DeviceForwarding& on_device_;
  std::span<const int> node_ranks_;
  std::size_t row_bytes_;
  Buffer rows_, pairs_;            // as received
  Buffer sent_rows_, sent_pairs_;  // as sent on
  Buffer row_source_;              // i32 [sent row] received row
  Buffer returned_, results_;      // on the way back
  Buffer sums_;                    // f32 [received row][hidden], if the device needs them
};

}  // namespace gembench::inline dispatch
