#pragma once

#include <cstddef>
#include <memory>

#include "moe_layer/model.hpp"

namespace gembench {

/// What happens to the product before it is stored.
enum class Epilogue {
  none,
  swish,     ///< x * sigmoid(x)
  multiply,  ///< times a second f32 matrix of the same shape
};

/// C[m][n] = epilogue(A[m][k] * B[k][n]) in oneDNN on the calling thread, for any m, in chunks of
/// at most kChunk rows. B is packed once into the layout oneDNN likes best, one layout for every m.
class CpuGemm {
 public:
  static constexpr int kChunk = 256;

  CpuGemm(int k, int n, DType in, DType out, Epilogue epilogue);
  ~CpuGemm();
  CpuGemm(const CpuGemm&) = delete;
  CpuGemm& operator=(const CpuGemm&) = delete;

  /// Bytes of B in the packed layout, and packing it from f32 [k][n].
  [[nodiscard]] std::size_t packed_bytes() const;
  void pack(const float* plain, void* packed);

  /// Makes the kernel for chunks of m rows, so that run() need not.
  void prepare(int m);
  /// `factor`: f32 [m][n] for Epilogue::multiply, else unused. m <= kChunk.
  void run_chunk(int m, const void* a, const void* packed, void* c, const float* factor = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "oneDNN 2.6.3".
[[nodiscard]] const char* cpu_gemm_version();
/// Whether this CPU and oneDNN multiply bf16 natively (AVX-512 BF16).
[[nodiscard]] bool cpu_has_bf16();

}  // namespace gembench
