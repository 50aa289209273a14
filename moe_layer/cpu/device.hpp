#pragma once

#include <cstring>

#include "moe_layer/cpu/experts.hpp"
#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/cpu/packing.hpp"
#include "moe_layer/cpu/routing.hpp"
#include "moe_layer/device/device.hpp"

namespace gembench::inline cpu {

/// The CPU device: oneDNN for every matrix product, one thread per rank. Calls finish before they
/// return.
class CpuDevice final : public Device, private DeviceForwarding {
 public:
  CpuDevice(const Comm& comm, const ModelShape& model, DType dtype);

  std::string name() const override;
  DType dtype() const override { return dtype_; }
  DeviceForwarding* forwarding() override { return this; }

  Buffer allocate(std::size_t bytes) override { return cpu_memory(bytes); }
  void upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to.as<char>() + offset, from, bytes);  // memcpy takes no null
  }
  void download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from.as<char>() + offset, bytes);
  }
  Stream make_stream() override { return {}; }
  void synchronize(Stream) override {}

  void prepare(const LayerLimits& limits) override;
  std::size_t scratch_bytes(const LayerLimits& limits) const override {
    return experts_.scratch_bytes(limits);
  }

  std::size_t expert_bytes() const override { return experts_.expert_bytes(); }
  void load_expert(Buffer& to, const PlainExpert& plain) override {
    experts_.load_expert(to, plain);
  }
  std::size_t router_bytes() const override { return routing_.router_bytes(); }
  void load_router(Buffer& to, std::span<const float> plain) override {
    routing_.load_router(to, plain);
  }

  void make_inputs(Stream, const InputArgs& args) override;
  void route(Stream, const RouteArgs& args) override { routing_.route(args); }
  void pack(Stream, const PackArgs& args) override { packing_.pack(args); }
  void exchange(Stream, std::span<const RowExchange> parts) override {
    for (const RowExchange& part : parts) {
      comm_.all_to_all_rows(part.send->as<char>(), part.send_rows, part.recv->as<char>(),
                            part.recv_rows, part.row_bytes);
    }
  }
  void experts(Stream, const ExpertArgs& args) override { experts_.experts(args); }
  void shared_experts(Stream, const SharedArgs& args) override { experts_.shared_experts(args); }
  void combine(Stream, const CombineArgs& args) override;
  void send_weights(std::span<const Message> sends, std::span<const Message> receives) override {
    comm_.exchange(sends, receives);
  }
  void spin(Stream, double seconds) override;

  /// For tests.
  [[nodiscard]] const ChunkPlan& chunks() const { return experts_.plan(); }

 private:
  void forward(Stream, const ForwardArgs& args) override { packing_.forward(args); }
  void merge(Stream, const MergeArgs& args) override;

  const Comm& comm_;
  DType dtype_;
  std::size_t hidden_;
  CpuRouting routing_;
  CpuPacking packing_;
  CpuExperts experts_;
};

}  // namespace gembench::inline cpu
