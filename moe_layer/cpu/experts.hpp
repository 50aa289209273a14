#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/cpu/feed_forward.hpp"
#include "moe_layer/device/buffer.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cpu {

/// The experts phase: routed experts over received rows, shared ones over the rank's own.
class CpuExperts {
 public:
  CpuExperts(const ModelShape& model, DType dtype);

  /// Chooses chunks, makes the kernels and allocates memory; collective.
  void prepare(const Comm& comm, const LayerLimits& limits);
  [[nodiscard]] std::size_t scratch_bytes(const LayerLimits& limits) const;
  [[nodiscard]] std::size_t expert_bytes() const { return ffn_.expert_bytes(); }
  void load_expert(Buffer& to, const PlainExpert& plain) { ffn_.load(plain, to.as<char>()); }

  void experts(const ExpertArgs& args);
  void shared_experts(const SharedArgs& args);
  [[nodiscard]] const ChunkPlan& plan() const { return ffn_.plan(); }

 private:
  /// Sorts pairs by slot: fills absolute_, order_ and slot_tokens. Returns the number of rows that
  /// have pairs.
  std::size_t sort_pairs(const ExpertArgs& args);
  /// The rows of a chunk of pairs as a contiguous array, with room for `computed`: gathered, or in
  /// place if they are already contiguous, as with one expert on the rank.
  const char* gathered(std::span<const std::int32_t> chunk, int computed, const Buffer& rows);
  /// Adds a product to its row, depending on its position in the row's sum.
  void deliver(std::int32_t absolute, float weight, const float* product, const ExpertArgs& args);

  ModelShape model_;
  DType dtype_;
  std::size_t hidden_;
  std::size_t row_bytes_;
  CpuFeedForward ffn_;
  Buffer gathered_;                     // rows of one expert's chunk
  std::vector<std::int32_t> order_;     // pairs sorted by slot
  std::vector<std::int32_t> absolute_;  // [pair] see kBegins
  std::vector<std::int32_t> slot_at_;   // [slot + 1] where a slot's pairs start in order_
};

}  // namespace gembench::inline cpu
