#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "moe_layer/cuda/expert_products.hpp"

namespace gembench::inline cuda {

/// A trial of ways to compute experts' products: what is right, by a plain kernel of our own, and
/// how long a way takes with weights that are in no cache.
class ProductTrial {
 public:
  /// Takes bytes() of device memory.
  ProductTrial(const ModelShape& model, DType dtype, Whereabouts& at);
  ~ProductTrial();
  ProductTrial(const ProductTrial&) = delete;
  ProductTrial& operator=(const ProductTrial&) = delete;
  [[nodiscard]] static std::size_t bytes(const ModelShape& model, DType dtype, Whereabouts& at);

  /// Computes what is right for all rows of `work`, or for some: ends of every expert's and others
  /// evenly between. `gathered`: its rows, dtype [row][hidden].
  void expect(cudaStream_t stream, const FeedForward& work, const void* gathered);
  /// Whether `outputs`, dtype [row][hidden], holds that but for rounding, and the row behind the
  /// last one, if there is one, only bytes of kForgotten.
  [[nodiscard]] bool right(cudaStream_t stream, const void* outputs, bool row_behind);
  /// What memory is filled with before a way is tried: a NaN of each type, so that what it leaves
  /// as it was does not pass for its result.
  static constexpr int kForgotten = 0xff;

  /// Seconds of a GPU for this work on the stream, of which nothing is in a cache before. Waits.
  [[nodiscard]] double seconds(cudaStream_t stream, const std::function<void()>& work);

 private:
  [[nodiscard]] std::vector<float> read(cudaStream_t stream, const Buffer& from, std::size_t rows);

  ModelShape model_;
  DType dtype_;
  Whereabouts& at_;
  std::size_t pairs_ = 0;
  std::vector<std::int32_t> rows_;  // that are looked at
  std::vector<float> expected_;
  Buffer index_, matrix_, count_;   // i32 [row], [row], [1]
  Buffer in_, both_, inner_, out_;  // dtype [row][...]
  Buffer swept_;                    // larger than the cache
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace gembench::inline cuda
