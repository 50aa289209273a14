#include "moe_layer/dispatch/forwarding.hpp"

#include <algorithm>

#include "placement/base/index.hpp"

namespace gembench::inline dispatch {
std::vector<Location> by_node(std::span<const Location> locations, const Topology& topology,
                              int rank, int slots) {
  std::vector<Location> seen(locations.begin(), locations.end());
  for (Location& location : seen) {
    location.slot += topology.local_rank(location.rank) * slots;
    location.rank = topology.forwarder(rank, topology.node(location.rank));
  }
  return seen;
}

ForwardLimits forwarded_at_most(const Topology& topology, int rank, int tokens, int topk) {
  ForwardLimits limits;
  limits.received = static_cast<std::int64_t>(topology.sources_of(rank).size()) * tokens;
  const auto node_ranks = topology.ranks_of(topology.node(rank)).size();
  limits.node_ranks = topology.largest_node();
  limits.sent = limits.received * std::min<std::int64_t>(topk, std::int64_t(node_ranks));
  return limits;
}

std::size_t forwarding_bytes(const ForwardLimits& limits, const ModelShape& model,
                             const Device& device) {
  const std::size_t row = sz(model.hidden) * size_of(device.dtype());
  const std::size_t sums = device.needs_sums() ? sz(model.hidden) * sizeof(float) : 0;
  return sz(limits.received) * (2 * row + 2 * sz(model.topk) * sizeof(Pair) + sums) +
         sz(limits.sent) * (2 * row + sizeof(std::int32_t));
}

Forwarding::Forwarding(const Comm& comm, const Topology& topology, Device& device,
                       const ModelShape& model, const ForwardLimits& limits)
    : comm_(comm),
      device_(device),
      on_device_(*device.forwarding()),
      node_ranks_(topology.ranks_of(topology.node(comm.rank()))),
      row_bytes_(sz(model.hidden) * size_of(device.dtype())) {
  const std::size_t in = sz(limits.received), out = sz(limits.sent), k = sz(model.topk);
  rows_ = device.allocate(in * row_bytes_);
  pairs_ = device.allocate(in * k * sizeof(Pair));
  sent_rows_ = device.allocate(out * row_bytes_);
  sent_pairs_ = device.allocate(in * k * sizeof(Pair));
  row_source_ = device.allocate(out * sizeof(std::int32_t));
  returned_ = device.allocate(out * row_bytes_);
  if (device.needs_sums()) sums_ = device.allocate(in * sz(model.hidden) * sizeof(float));
  results_ = device.allocate(in * row_bytes_);
}

void Forwarding::forward(Stream stream, const Hop& first, Hop& second, int slots) {
  ForwardArgs args;
  args.slots = slots;
  args.ranks = node_ranks_;
  args.rows_from = first.rows_in;
  args.pairs_from = first.pairs_in;
  args.rows = &rows_;
  args.pairs = &pairs_;
  args.send_rows = &sent_rows_;
  args.send_pairs = &sent_pairs_;
  args.row_source = &row_source_;
  args.counts = second.send_counts;
  on_device_.forward(stream, args);
  second.exchange_counts(comm_);
}

void Forwarding::send(Stream stream, const Hop& second, Buffer& recv_pairs, Buffer& recv_rows) {
  second.send(device_, stream, sent_pairs_, sent_rows_, recv_pairs, recv_rows, row_bytes_);
}

void Forwarding::back(Stream stream, const Hop& first, const Hop& second, const Buffer& results,
                      Buffer& returned) {
  second.send_back(device_, stream, results, returned_, row_bytes_);
  MergeArgs args;
  args.returned_rows = second.rows_sent();
  args.rows = first.rows_received();
  args.returned = &returned_;
  args.row_source = &row_source_;
  args.sums = &sums_;
  args.results = &results_;
  on_device_.merge(stream, args);
  first.send_back(device_, stream, results_, returned, row_bytes_);
}

}  // namespace gembench::inline dispatch
