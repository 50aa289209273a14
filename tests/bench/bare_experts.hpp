#pragma once

#include <memory>
#include <span>

#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/model/weights.hpp"

namespace gembench::bench {

/// SwiGLU experts written with oneDNN alone: weights packed with format_tag::any, primitives and
/// arguments made before the clock starts, every expert's rows contiguous and of one size. No
/// gathering, no gate weights, no sums over experts: what is left is the arithmetic.
class BareExperts {
 public:
  BareExperts(const ModelShape& model, DType dtype);
  ~BareExperts();
  BareExperts(const BareExperts&) = delete;
  BareExperts& operator=(const BareExperts&) = delete;

  void add_expert(const PlainExpert& plain);
  /// Makes the primitives for `tokens` rows an expert; `input` is f32 [expert][token][hidden].
  void prepare(int tokens, std::span<const float> input);
  /// swish and the product with up as post-ops of two matmuls.
  void run_post_ops();
  /// One matmul for gate and up side by side, then a loop.
  void run_wide();
  /// f32 [expert][token][hidden] of the last run.
  [[nodiscard]] std::span<const float> output() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench::bench
