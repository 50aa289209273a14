#include "moe_layer/cuda/forwarding.hpp"

#include <algorithm>
#include <cstring>

#include "moe_layer/cuda/forwarding_kernels.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/row_parts.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {

CudaForwarding::CudaForwarding(const ModelShape& model, DType dtype, int ranks,
                               Transport& transport, Spans& spans, Whereabouts& at)
    : model_(model),
      dtype_(dtype),
      ranks_(sz(ranks)),
      row_bytes_(sz(model.hidden) * size_of(dtype)),
      transport_(transport),
      spans_(spans),
      at_(at) {
  check(cudaEventCreateWithFlags(&counted_, cudaEventDisableTiming), "cudaEventCreateWithFlags",
        at_);
}

CudaForwarding::~CudaForwarding() {
  static_cast<void>(cudaEventDestroy(counted_));
}

std::size_t CudaForwarding::table_bytes(const LayerLimits& limits) const {
  return (2 * (ranks_ + 1) + sz(limits.forwarded.node_ranks)) * sizeof(std::int32_t);
}

std::size_t CudaForwarding::counts_bytes() const {
  return ranks_ * (2 + sz(model_.experts)) * sizeof(std::int32_t);
}

std::size_t CudaForwarding::chunk_bytes(const LayerLimits& limits) const {
  const auto pairs = static_cast<int>(limits.forwarded.received * model_.topk);
  return 2 * sz(limits.forwarded.node_ranks) * sz(chunks_of(pairs)) * sizeof(std::int32_t);
}

std::size_t CudaForwarding::sent_row_bytes(const LayerLimits& limits) const {
  return sz(limits.forwarded.received) * sz(limits.forwarded.node_ranks) * sizeof(std::int32_t);
}

std::size_t CudaForwarding::scratch_bytes(const LayerLimits& limits) const {
  if (limits.forwarded.node_ranks == 0) return 0;
  return table_bytes(limits) + counts_bytes() + chunk_bytes(limits) + sent_row_bytes(limits) +
         sizeof(std::int32_t);
}

std::size_t CudaForwarding::most_exchanged(const LayerLimits& limits) const {
  return sz(std::max(limits.forwarded.received, limits.forwarded.sent)) * row_bytes_ +
         sz(limits.forwarded.received) * sz(model_.topk) * sizeof(Pair);
}

void CudaForwarding::prepare(const LayerLimits& limits) {
  if (limits.forwarded.node_ranks == 0) return;
  table_ = device_memory(table_bytes(limits), at_);
  host_table_ = pinned_memory(table_bytes(limits), at_);
  counts_ = device_memory(counts_bytes(), at_);
  host_counts_ = pinned_memory(counts_bytes(), at_);
  chunk_counts_ = device_memory(chunk_bytes(limits), at_);
  sent_row_ = device_memory(sent_row_bytes(limits), at_);
  row_count_ = device_memory(sizeof(std::int32_t), at_);
}

// The counts are on their way to the host while the rows are still being put in order.
void CudaForwarding::forward(Stream stream, const ForwardArgs& args) {
  const auto on = static_cast<cudaStream_t>(stream.handle);
  spans_.open(on);
  auto* const pair_at = host_table_.as<std::int32_t>();
  std::int32_t* const row_at = pair_at + ranks_ + 1;
  std::int32_t* const rank_of = row_at + ranks_ + 1;
  running_sums(args.pairs_from, pair_at);
  running_sums(args.rows_from, row_at);
  std::copy(args.ranks.begin(), args.ranks.end(), rank_of);
  node_ranks_ = static_cast<int>(args.ranks.size());
  // Nobody writes it before this copy has run: the counts are waited for below.
  check(cudaMemcpyAsync(table_.as<void>(), host_table_.as<void>(), table_.bytes(),
                        cudaMemcpyHostToDevice, on),
        "cudaMemcpyAsync", at_);
  const auto on_device = [&](const std::int32_t* host) {
    return table_.as<std::int32_t>() + (host - pair_at);
  };
  NodePacking packing{};
  packing.pairs = pair_at[ranks_];
  packing.sources = static_cast<int>(ranks_);
  packing.node_ranks = node_ranks_;
  packing.slots = args.slots;
  packing.pair = args.pairs->as<Pair>();
  packing.pair_at = on_device(pair_at);
  packing.row_at = on_device(row_at);
  packing.rank_of = on_device(rank_of);
  packing.counts = counts_.as<std::int32_t>();
  packing.chunk_counts = chunk_counts_.as<std::int32_t>();
  packing.sent_pairs = args.send_pairs->as<Pair>();
  packing.row_source = args.row_source->as<std::int32_t>();
  packing.sent_row = sent_row_.as<std::int32_t>();
  packing.rows = row_count_.as<std::int32_t>();
  check(count_node_pairs(on, packing, static_cast<int>(ranks_)), "count_node_pairs", at_);
  check(cudaMemcpyAsync(host_counts_.as<void>(), counts_.as<void>(), args.counts.size_bytes(),
                        cudaMemcpyDeviceToHost, on),
        "cudaMemcpyAsync", at_);
  check(cudaEventRecord(counted_, on), "cudaEventRecord", at_);
  check(place_node_pairs(on, packing), "place_node_pairs", at_);
  check(copy_rows(on, row_bytes_, sz(packing.pairs), packing.rows, packing.row_source,
                  args.rows->as<void>(), args.send_rows->as<void>()),
        "copy_rows", at_);
  spans_.close(on);
  transport_.wait_for(counted_);
  std::memcpy(args.counts.data(), host_counts_.as<void>(), args.counts.size_bytes());
}

void CudaForwarding::merge(Stream stream, const MergeArgs& args) {
  const auto on = static_cast<cudaStream_t>(stream.handle);
  spans_.open(on);
  const Merging merging{args.rows,
                        node_ranks_,
                        model_.hidden,
                        sent_row_.as<std::int32_t>(),
                        args.returned->as<void>(),
                        args.results->as<void>()};
  check(merge_rows(on, dtype_, merging), "merge_rows", at_);
}

}  // namespace gembench::inline cuda
