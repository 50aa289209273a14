#pragma once

#include <cuda_runtime_api.h>

#include "moe_layer/cuda/spans.hpp"
#include "moe_layer/cuda/transport.hpp"
#include "moe_layer/device/device.hpp"

namespace gembench::inline cuda {

/// The middle of hierarchical dispatch on a GPU. What the transport, the spans and the place in the
/// run belong to is the device's.
class CudaForwarding final : public DeviceForwarding {
 public:
  CudaForwarding(const ModelShape& model, DType dtype, int ranks, Transport& transport,
                 Spans& spans, Whereabouts& at);
  ~CudaForwarding() override;
  CudaForwarding(const CudaForwarding&) = delete;
  CudaForwarding& operator=(const CudaForwarding&) = delete;

  /// Device bytes that prepare() takes; none in flat dispatch.
  [[nodiscard]] std::size_t scratch_bytes(const LayerLimits& limits) const;
  void prepare(const LayerLimits& limits);
  /// Rows or results, and pairs, that an exchange of this rank sends or receives at most, bytes.
  [[nodiscard]] std::size_t most_exchanged(const LayerLimits& limits) const;

  void forward(Stream stream, const ForwardArgs& args) override;
  void merge(Stream stream, const MergeArgs& args) override;

 private:
  [[nodiscard]] std::size_t table_bytes(const LayerLimits& limits) const;
  [[nodiscard]] std::size_t counts_bytes() const;
  [[nodiscard]] std::size_t chunk_bytes(const LayerLimits& limits) const;
  [[nodiscard]] std::size_t sent_row_bytes(const LayerLimits& limits) const;

  ModelShape model_;
  DType dtype_;
  std::size_t ranks_, row_bytes_;
  Transport& transport_;
  Spans& spans_;
  Whereabouts& at_;
  cudaEvent_t counted_ = nullptr;  // counts are on the host
  // i32: where sources' pairs and rows start, [rank + 1] each, and the node's ranks; pinned, and
  // its copy on the device.
  Buffer host_table_, table_;
  Buffer counts_, host_counts_;  // i32 [rank][2 + slot] and its pinned copy
  Buffer chunk_counts_;          // see NodePacking
  Buffer sent_row_, row_count_;  // i32 [received row][local rank] and [1], from forward to merge
  int node_ranks_ = 0;           // of the last forward()
};

}  // namespace gembench::inline cuda
