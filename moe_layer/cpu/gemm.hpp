#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "moe_layer/model/shape.hpp"

namespace gembench::inline cpu {

/// What happens to the product before it is stored.
enum class Epilogue {
  none,
  swish,     ///< x * sigmoid(x)
  multiply,  ///< times a second f32 matrix of the same shape
};

/// C[m][n] = epilogue(A[m][k] * B[k][n]) in oneDNN on the calling thread, for chunks of up to
/// kChunk rows. B is packed once into the layout oneDNN likes best, one layout for every m.
///
/// oneDNN generates a kernel for every number of rows, which takes 0.1 ms (AVX2) to 5 ms (AMX), and
/// on AMX oneDNN 2.6 takes up to 17 times as long for an odd number as for the next good one. So
/// the caller chooses the numbers of rows that have kernels, and pads the others (ChunkPlan), or
/// leaves both to run_chunk().
class CpuGemm {
 public:
  static constexpr std::array kRowCounts = {1,  2,  4,  8,   16,  24,  32,  40, 48,
                                            56, 64, 96, 128, 160, 192, 224, 256};
  static constexpr int kChunk = kRowCounts.back();
  /// Rows that a chunk of m is computed with, 1 <= m <= kChunk.
  [[nodiscard]] static constexpr int padded(int m) {
    return *std::lower_bound(kRowCounts.begin(), kRowCounts.end(), m);
  }

  CpuGemm(int k, int n, DType in, DType out, Epilogue epilogue);
  ~CpuGemm();
  CpuGemm(const CpuGemm&) = delete;
  CpuGemm& operator=(const CpuGemm&) = delete;

  /// Bytes of B in the packed layout, and packing it from f32 [k][n].
  [[nodiscard]] std::size_t packed_bytes() const;
  void pack(const float* plain, void* packed);

  /// Makes the kernels for these numbers of rows, up to kChunk, and drops all others; by default
  /// those that run_chunk() needs.
  void prepare(std::span<const int> row_counts = kRowCounts);
  /// Makes the kernel for one number of rows, so that run() need not.
  void make(int rows);
  /// The product of exactly so many rows.
  void run(int rows, const void* a, const void* packed, void* c, const float* factor = nullptr);
  /// `a`, `c` and `factor` hold padded(m) rows: rows from m on may have any content, and their
  /// results are not used. `factor`: f32 [m][n] for Epilogue::multiply, else unused. m <= kChunk.
  void run_chunk(int m, const void* a, const void* packed, void* c, const float* factor = nullptr) {
    run(padded(m), a, packed, c, factor);
  }
  /// For tests: kernels made so far.
  [[nodiscard]] int kernels() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "oneDNN 2.6.3".
[[nodiscard]] const char* cpu_gemm_version();
/// Whether this CPU and oneDNN multiply bf16 natively (AVX-512 BF16).
[[nodiscard]] bool cpu_has_bf16();
/// Whether products of this type run on AMX tiles.
[[nodiscard]] bool cpu_has_tiles(DType dtype);

}  // namespace gembench::inline cpu
