#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/device/buffer.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"

namespace gembench::inline cpu {

/// The route phase: RMSNorm, router product, top-k, softmax.
class CpuRouting {
 public:
  CpuRouting(const ModelShape& model, DType dtype);
  /// Makes the kernels.
  void prepare() { router_.prepare(); }
  [[nodiscard]] std::size_t router_bytes() const { return router_.packed_bytes(); }
  void load_router(Buffer& to, std::span<const float> plain) {
    router_.pack(plain.data(), to.as<char>());
  }
  void route(const RouteArgs& args);

 private:
  void choose_experts(const float* logits, std::uint16_t* ids) const;
  void softmax(const float* logits, const std::uint16_t* ids, float* weights) const;

  ModelShape model_;
  DType dtype_;
  std::size_t hidden_;
  CpuGemm router_;
  std::vector<float> normed_, logits_;  // of a chunk that is padded
};

}  // namespace gembench::inline cpu
