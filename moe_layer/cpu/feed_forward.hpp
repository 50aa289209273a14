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

  /// Packed gate, up and down lie behind one another, each at a cache line.
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

/// What chunks of measured_row_counts() take on this CPU, in thread CPU time, so that other work on
/// the machine is not counted; infinite where kTuningSeconds did not suffice. The smallest of
/// several readings, each with weights from memory and then with those just read.
[[nodiscard]] std::vector<ChunkCost> measure_chunks(CpuFeedForward& experts, std::size_t row_bytes,
                                                    bool tiles);
inline constexpr double kTuningSeconds = 1;
/// Below this making a kernel takes far longer than it can save: fixed costs are assumed.
[[nodiscard]] bool worth_measuring(int hidden, int ffn);
/// Bytes that measure_chunks() takes meanwhile.
[[nodiscard]] std::size_t measuring_bytes(std::size_t expert_bytes);

}  // namespace gembench::inline cpu
