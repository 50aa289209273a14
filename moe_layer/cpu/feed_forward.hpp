#pragma once

#include "moe_layer/cpu/chunks.hpp"
#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/device/buffer.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/weights.hpp"

namespace gembench::inline cpu {

/// Experts of one shape: down(swish(gate(x)) * up(x)) in three products, for chunks of rows.
class CpuFeedForward {
 public:
  CpuFeedForward(int hidden, int ffn, DType dtype);

  /// Packed gate, up and down are contiguous, each aligned to a cache line.
  [[nodiscard]] std::size_t expert_bytes() const;
  void load(const PlainExpert& plain, char* to);

  /// Makes the kernels of the plan, and drops all others.
  void prepare(const ChunkPlan& plan);
  [[nodiscard]] const ChunkPlan& plan() const { return plan_; }
  /// Makes the kernels for so many rows.
  void make(int rows);

  /// f32 [rows][hidden] until the next call, of `rows` rows x in the payload's type.
  const float* run(int rows, const char* x, const char* weights);

 private:
  [[nodiscard]] std::size_t offset_of_up() const;
  [[nodiscard]] std::size_t offset_of_down() const;

  CpuGemm gate_, up_, down_;
  ChunkPlan plan_;
  Buffer activated_;  // f32 [row][ffn]: swish(gate(x))
  Buffer inner_;      // dtype [row][ffn]: times up(x)
  Buffer product_;    // f32 [row][hidden]
};

}  // namespace gembench::inline cpu
