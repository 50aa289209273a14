#pragma once

#include <nvtx3/nvToolsExt.h>

#include <memory>
#include <vector>

#include "moe_layer/cuda/experts.hpp"
#include "moe_layer/cuda/forwarding.hpp"
#include "moe_layer/cuda/gpu.hpp"
#include "moe_layer/cuda/near_cpus.hpp"
#include "moe_layer/cuda/nvml.hpp"
#include "moe_layer/cuda/spans.hpp"
#include "moe_layer/cuda/step_graphs.hpp"
#include "moe_layer/cuda/transport.hpp"
#include "moe_layer/device/cuda_plugin.hpp"
#include "moe_layer/device/device.hpp"

namespace gembench::inline cuda {

/// One GPU behind the device interface: cuBLAS for every matrix product, our kernels around them,
/// NCCL or MPI between ranks. Everything is on the caller's stream, in order.
class CudaDevice final : public Device, private DeviceClock {
 public:
  CudaDevice(const Comm& comm, const ModelShape& model, const CudaOptions& options);
  ~CudaDevice() override;

  std::string name() const override;
  DType dtype() const override { return dtype_; }
  std::map<std::string, std::string> facts() const override;
  std::optional<DeviceState> state() override { return nvml_.state(); }
  DeviceClock* clock() override { return this; }
  DeviceForwarding* forwarding() override { return &forwarding_; }
  DeviceGraphs* graphs() override { return transport_.row().capturable ? &graphs_ : nullptr; }
  std::size_t memory_left() const override;
  bool can_share() const override { return !transport_.row().own_gpu; }
  void connect() override;
  void enter(const char* phase, int layer) override;

  Buffer allocate(std::size_t bytes) override;
  void upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) override;
  void download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) override;
  Stream make_stream() override;
  void synchronize(Stream stream) override;

  void prepare(const LayerLimits& limits) override;
  bool needs_rehearsal() const override { return true; }
  void compare_ways(Stream stream, std::span<const Buffer* const> slots) override;
  std::size_t scratch_bytes(const LayerLimits& limits) const override;
  bool needs_sums() const override { return false; }
  std::size_t expert_bytes() const override { return expert_layout(model_, dtype_).bytes; }
  void load_expert(Buffer& to, const PlainExpert& plain) override;
  std::size_t router_bytes() const override;
  void load_router(Buffer& to, std::span<const float> plain) override;

  void make_inputs(Stream stream, const InputArgs& args) override;
  void route(Stream stream, const RouteArgs& args) override;
  void pack(Stream stream, const PackArgs& args) override;
  void exchange(Stream stream, std::span<const RowExchange> parts) override;
  void experts(Stream stream, const ExpertArgs& args) override;
  void shared_experts(Stream stream, const SharedArgs& args) override;
  void combine(Stream stream, const CombineArgs& args) override;
  void send_weights(std::span<const Message> sends, std::span<const Message> receives) override;
  void spin(Stream stream, double seconds) override;

 private:
  void reserve_spans(int count) override { spans_.reserve(count); }
  void begin_span(int span) override { spans_.begin(span); }
  void end_span(Stream stream) override;
  double seconds_of(int span) override { return spans_.seconds(span); }
  [[nodiscard]] std::size_t counts_bytes(const LayerLimits& limits) const;
  [[nodiscard]] std::size_t chunk_bytes(const LayerLimits& limits) const;
  void measure_spin();
  void stamp_without_work(Stream stream, int tokens, int mark);

  const Comm& comm_;
  ModelShape model_;
  DType dtype_;
  int locked_mhz_;
  Gpu gpu_;
  Whereabouts at_;      // before all that throw with it
  NearCpus near_cpus_;  // before all that allocate pinned memory or start threads
  Nvml nvml_;
  Spans spans_;
  Transport transport_;
  Experts experts_;
  CudaForwarding forwarding_;
  StepGraphs graphs_;                  // destroyed before the transport, of which graphs hold parts
  cudaStream_t copies_ = nullptr;      // uploads, downloads, weights
  cudaEvent_t counted_ = nullptr;      // pack's counts are on the host
  std::vector<cudaStream_t> streams_;  // made for others
  Buffer counts_, host_counts_;        // i32 [rank][2 + slot] and its pinned copy
  Buffer token_row_, row_count_;       // i32 [token][rank] and [1], from pack to combine
  Buffer chunk_counts_;                // see Packing
  std::size_t most_rows_sent_ = 0;
  std::vector<char> packed_;  // scratch of load_expert
  double spin_overhead_ = 0;  // s, of a spin of no length
  bool in_range_ = false;     // NVTX
};

}  // namespace gembench::inline cuda
